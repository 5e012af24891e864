"""Demo: train on real photos of solar cells."""

import csv
import hashlib
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

from headstart.cache import cache_folder
from headstart.commands.train import TrainResult, run_training
from headstart.data.staging import make_staging
from headstart.errors import DataError
from headstart.files import atomic_replace
from headstart.options import TrainOptions
from headstart.watching import Watcher

_TEST_SHARE = 0.25


def run_demo(options: TrainOptions, watcher: Watcher, *, begin: float | None = None) -> TrainResult:
    """Train on 2,624 electroluminescence photos of solar cells, defective or functional.

    The data is PyPI's `elpv-dataset` (Buerhop-Lutz et al., 2018; Deitsch et al., 2019), under
    CC BY-NC-SA 4.0: not for commercial use.

    Args:
        options: Options of `train`.
        watcher: Follows the stages.
        begin: Start of the measured time, by `time.perf_counter`. Default: now.

    Raises:
        DataError: The package is not installed.
    """
    watcher.warn("The demo's photos are under CC BY-NC-SA 4.0: not for commercial use.")
    table = write_solar_cells(cache_folder(options.cache) / "images", seed=options.seed)
    return run_training(table, options, watcher, begin=begin)


def write_solar_cells(folder: Path, *, seed: int = 0) -> Path:
    """Write the demo's table: paths, labels, and a fixed split.

    A cell is "defective" if experts rated its probability of a defect above 0.5. The test part
    is a quarter of the cells of each probability and type (monocrystalline or polycrystalline).

    Args:
        folder: The folder to write the table to.
        seed: Seed of the split.

    Returns:
        The path of the CSV file.
    """
    images = _installed_images()
    rows = [line.split() for line in (images / "labels.csv").read_text().splitlines()]
    test = _test_paths([(path, probability + kind) for path, probability, kind in rows], seed)
    table = make_staging(folder) / "solar-cells.csv"
    with atomic_replace(table) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        for path, probability, _ in rows:
            label = "defective" if float(probability) > 0.5 else "functional"
            split = "test" if path in test else "train"
            writer.writerow([str(images / path), label, split])
    return table


def _installed_images() -> Path:
    found = find_spec("elpv_dataset")
    if found is None or found.origin is None:
        raise DataError("The demo's photos are not installed. Run: pip install 'headstart[demo]'")
    return Path(found.origin).parent / "data"


def _test_paths(cells: list[tuple[str, str]], seed: int) -> set[str]:
    """Sample a quarter of each stratum by hash, so that the split is the same on every machine."""
    strata: dict[str, list[str]] = defaultdict(list)
    for path, stratum in cells:
        strata[stratum].append(path)
    drawn: set[str] = set()
    for paths in strata.values():
        order = sorted(paths, key=lambda path: hashlib.sha256(f"{seed}:{path}".encode()).digest())
        drawn.update(order[: round(len(order) * _TEST_SHARE)])
    return drawn
