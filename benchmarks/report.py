"""The report of 10,000 test images: its size, the time until a browser has loaded it, and faults.

Usage: python -m benchmarks.report [PAGE]
"""

import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from tests.report.browser import open_browser

from benchmarks.fashion import CLASSES, read_fashion, write_fashion
from headstart.arrays import Features, Probabilities, Targets
from headstart.data.contract import CURRENT
from headstart.data.images import ImageSet
from headstart.evaluation.feature_map import feature_map
from headstart.evaluation.metrics import evaluate_probabilities
from headstart.record import EvaluationRecord
from headstart.report import PicturedMistake, render_evaluation
from headstart.report.illustrating import illustrate
from headstart.report.thumbnails import thumbnail
from headstart.tasks.single import Single

IMAGES = 10_000
MAX_MEGABYTES, MAX_SECONDS = 5.0, 2.0


def main() -> int:
    """Write the page, measure it, and return 1 if a bar is missed."""
    with TemporaryDirectory() as folder:
        page = Path(sys.argv[1] if len(sys.argv) > 1 else Path(folder) / "report.html").resolve()
        page.write_text(_page(Path(folder)), encoding="utf-8")
        return _measure(page, Path(folder) / "profile")


def _measure(page: Path, profile: Path) -> int:
    """Print the size of the page, how long it loads, and what is wrong with it."""
    size = page.stat().st_size / 1e6
    faults = []
    with open_browser(profile) as browser:
        seconds = sorted(browser.open(page) for _ in range(5))
        for scheme in ("light", "dark"):
            browser.open(page, scheme=scheme)
            faults += [*browser.complaints(), *browser.inaccessible()]
    print(f"size       {size:.2f} MB (at most {MAX_MEGABYTES})")
    print(f"load       {seconds[2]:.2f} s, median of 5, worst {seconds[-1]:.2f} s")
    print(f"faults     {len(faults)} of console and axe, light and dark")
    for fault in faults[:20]:
        print("          ", fault[:200])
    return int(size > MAX_MEGABYTES or seconds[2] > MAX_SECONDS or bool(faults))


def _page(folder: Path) -> str:
    """Render the evaluation of a linear model of Fashion-MNIST's pixels."""
    write_fashion(folder, train=0, test=IMAGES)
    train, known = _read("train")
    pixels, truth = _read("t10k")
    model = LinearDiscriminantAnalysis().fit(train[:5000], known[:5000])
    probabilities = model.predict_proba(pixels).astype(np.float64)
    table = pa.table(
        {
            "image": [f"test-{number:05d}.png" for number in range(IMAGES)],
            "path": [str(folder / f"test-{number:05d}.png") for number in range(IMAGES)],
            "label": [CLASSES[number] for number in truth],
        }
    )
    images = ImageSet(table, CLASSES, Single())
    begin = time.perf_counter()
    located = feature_map(pixels, seed=0)
    mapped = time.perf_counter()
    test_images = illustrate(images, probabilities, located, None, CURRENT)
    illustrated = time.perf_counter()
    mistakes = Single().worst_mistakes(probabilities, truth, CLASSES, limit=24)
    record = _record(probabilities, truth)
    page = render_evaluation(
        record,
        Single().report_part(record.evaluation),
        [
            PicturedMistake(one, images.names[one.row], thumbnail(images.paths[one.row], CURRENT))
            for one in mistakes
        ],
        test_images=test_images,
    )
    rendered = time.perf_counter()
    print(f"map        {mapped - begin:.2f} s")
    print(f"pictures   {illustrated - mapped:.2f} s")
    print(f"page       {rendered - illustrated:.2f} s")
    return page


def _read(prefix: str) -> tuple[Features, Targets]:
    pixels, classes = read_fashion(prefix)
    return pixels.reshape(len(pixels), -1).astype(np.float32) / 255, classes.astype(np.int64)


def _record(probabilities: Probabilities, truth: Targets) -> EvaluationRecord:
    return EvaluationRecord(
        headstart=version("headstart"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model="runs/fashion",
        data="fashion",
        split="test",
        evaluation=evaluate_probabilities(probabilities, truth, CLASSES),
        temperature=1.0,
        trained_on=(),
        rejected=(),
        warnings=(),
        recorded=None,
    )


if __name__ == "__main__":
    sys.exit(main())
