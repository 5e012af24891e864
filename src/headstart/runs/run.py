"""Write a run, either completely or not at all."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from headstart.errors import OutputError
from headstart.files import atomic_replace, write_atomically, write_json
from headstart.predictor.bundle import Bundle, write_files
from headstart.record import FILE, EvaluationRecord, RecommendationRecord, Record
from headstart.record.gallery_evaluation import GalleryEvaluation
from headstart.report import (
    PicturedMistake,
    TestImages,
    render_evaluation,
    render_recommendation,
    render_report,
)
from headstart.report.pictures import Gallery
from headstart.runs.folders import EVALUATION, PREDICTIONS, REPORT
from headstart.runs.images import MANIFEST
from headstart.runs.unfinished import Request
from headstart.task import ReportPart
from headstart.tuning.events.listeners import EVENTS

BUNDLE, TEST_PREDICTIONS = "bundle", "test_predictions.parquet"


def write_run(
    run: Path,
    bundle: Bundle,
    manifest: pa.Table,
    record: Record,
    part: ReportPart | None,
    mistakes: Sequence[PicturedMistake],
    *,
    doubts: Gallery | None = None,
    test_images: TestImages | None = None,
    predictions: pa.Table | None = None,
    events: str = "",
    unfinished: Request | None = None,
) -> None:
    """Write a run completely or not at all, so that an interruption leaves no partial run.

    Args:
        run: The folder of the run.
        bundle: The trained model.
        manifest: One row per image.
        record: The measurements.
        part: The part of the report that shows the evaluation; None without a test part.
        mistakes: Wrong predictions to show in the report.
        doubts: Images whose label may be wrong; None without any.
        test_images: What the report shows of single images; None for nothing.
        predictions: One row per test image; None without a test part.
        events: The events of fine-tuning, as lines of JSON.
        unfinished: The request of a training that can be resumed; None if it is finished.

    Raises:
        OutputError: The run cannot be written; an existing run is left unchanged.
    """
    with _written_run(run) as partial:
        write_files(bundle, partial / BUNDLE)
        pq.write_table(manifest, partial / MANIFEST)
        if predictions is not None:
            pq.write_table(predictions, partial / TEST_PREDICTIONS)
        record.write(partial / FILE)
        page = render_report(
            *(record, part, mistakes),
            doubts=doubts,
            test_images=test_images,
            title=_title(run),
        )
        write_atomically(partial / REPORT, page)
        if events:
            write_atomically(partial / EVENTS, events)
        if unfinished:
            unfinished.write(partial)


def write_recommendation(run: Path, record: RecommendationRecord) -> None:
    """Write a recommendation and its report, completely or not at all.

    Raises:
        OutputError: The folder cannot be written.
    """
    with _written_run(run) as partial:
        record.write(partial / FILE)
        write_atomically(partial / REPORT, render_recommendation(record, title=_title(run)))


def write_evaluation(
    out: Path,
    record: EvaluationRecord,
    part: ReportPart,
    mistakes: Sequence[PicturedMistake],
    predictions: pa.Table,
    *,
    test_images: TestImages | None = None,
) -> None:
    """Write an evaluation with its report and predictions, completely or not at all.

    Raises:
        OutputError: The folder cannot be written.
    """
    with _written_run(out) as partial:
        write_json(partial / EVALUATION, record.to_json())
        pq.write_table(predictions, partial / PREDICTIONS)
        page = render_evaluation(record, part, mistakes, test_images=test_images)
        write_atomically(partial / REPORT, page)


def write_gallery_evaluation(out: Path, record: GalleryEvaluation, page: str) -> None:
    """Write an evaluation of a gallery with its page, completely or not at all.

    Raises:
        OutputError: The folder cannot be written.
    """
    with _written_run(out) as partial:
        write_json(partial / EVALUATION, record.to_json())
        write_atomically(partial / REPORT, page)


def events_below(checkpoints: Path) -> str:
    """Return the events of all rounds of a fine-tuning, each labelled with its round."""
    lines = []
    for path in sorted(checkpoints.glob(f"*/{EVENTS}")):
        for line in path.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):  # A full disk may have cut off the last line.
                lines.append(json.dumps({"round": path.parent.name} | json.loads(line)) + "\n")
    return "".join(lines)


def _title(run: Path) -> str:
    """Return the name of a run, which is that of its folder."""
    return run.resolve().name


@contextmanager
def _written_run(run: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes the run once everything is written."""
    try:
        with atomic_replace(run) as partial:
            partial.mkdir()
            yield partial
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"Output '{run}' cannot be written: {reason}.") from None
