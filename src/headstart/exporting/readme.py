"""The README of an exported model: how to use it, and what was checked."""

from collections.abc import Iterator

from pydantic import JsonValue

from headstart.exporting.detector_parity import BoxesParityResult
from headstart.exporting.formats import Format
from headstart.exporting.script import templates
from headstart.record.export import ExportRecord, ParityResult, QuantisationResult

_OUTPUTS = {
    "probabilities": ("float32", "(batch, classes)"),
    "predicted": ("bool", "(batch, classes)"),
    "unknown": ("bool, unlike all training images", "(batch,)"),
    "features": ("float32", "(batch, features)"),
}


def readme(
    record: ExportRecord, metadata: dict[str, JsonValue], file: str, runtime: str, title: str
) -> str:
    """Return the README, in Markdown."""
    preprocess, outputs = metadata["preprocess"], metadata["outputs"]
    assert isinstance(preprocess, dict) and isinstance(outputs, list)
    return (
        templates()
        .get_template("README.md.jinja")
        .render(
            title=title,
            record=record,
            metadata=metadata,
            file=file,
            runtime=runtime,
            size=preprocess["size"],
            answers="probabilities" in outputs,
            outputs=[
                {"name": name, "type": kind, "shape": shape}
                for name in map(str, outputs)
                for kind, shape in (_OUTPUTS[name],)
            ],
            weights={"float16": "weights in half precision", "int8": "8-bit integers"}.get(
                record.weights, ""
            ),
            checks=list(checks(record)),
            quantisation=list(describe(record.quantisation)) if record.quantisation else [],
        )
    )


def detector_readme(
    record: ExportRecord, metadata: dict[str, JsonValue], kind: Format, title: str, *, points: int
) -> str:
    """Return the README of a detector, in Markdown.

    Args:
        record: The export.
        metadata: What the file says about itself.
        kind: The format.
        title: What the detector is.
        points: The number of points at which it predicts a box.
    """
    preprocess = metadata["preprocess"]
    assert isinstance(preprocess, dict)
    return (
        templates()
        .get_template("DETECTOR.md.jinja")
        .render(
            title=title,
            metadata=metadata,
            file=kind.file,
            runtime=kind.runtime,
            size=preprocess["size"],
            points=points,
            checks=list(checks(record)),
        )
    )


def checks(record: ExportRecord) -> Iterator[tuple[str, str]]:
    """Yield what was checked and the result, in words."""
    parity, features = record.parity, record.only_features
    if isinstance(parity, BoxesParityResult):
        yield from _checks_of_boxes(parity)
        return
    if record.weights != "float32":
        yield "compared", "the file in float32, before its weights were rounded"
    yield "files", _files(parity)
    what = "features, as a share of the largest" if features else "probabilities"
    if not features:
        yield "labels other than the model's in float32", "0"
    yield f"largest difference of {what}", f"{parity.difference:.1g}"
    yield "largest difference between batches of 1 and 16", f"{parity.batch_difference:.1g}"
    if not features and parity.precision != "float32":
        name = f"labels other than the model's in {parity.precision}, in which it was measured"
        yield name, f"{parity.measured_changed:,}"
    if half := record.half:
        if not features:
            yield "answers that half precision changes", f"{half.changed:,} of {half.images:,}"
        yield f"largest difference of {what} by half precision", f"{half.difference:.1g}"
    if parity.refused:
        yield "refused by predict.py", ", ".join(parity.refused)


def _checks_of_boxes(parity: BoxesParityResult) -> Iterator[tuple[str, str]]:
    yield "files", _files(parity)
    yield "boxes that reach their threshold", f"{parity.boxes:,}"
    yield "boxes other than the model's in float32", "0"
    if parity.by_rounding:
        yield "images in which rounding decides about a box", f"{parity.by_rounding:,}"
    yield "largest distance of an edge, in pixels", f"{parity.distance:.1g}"
    yield "largest difference of probabilities", f"{parity.difference:.1g}"
    yield "largest difference between batches of 1 and 16", f"{parity.batch_difference:.1g}"
    if parity.precision != "float32":
        name = f"images with other labels in {parity.precision}, in which it was measured"
        yield name, f"{parity.measured_changed:,}"
    if parity.refused:
        yield "refused by predict.py", ", ".join(parity.refused)


def _files(parity: ParityResult) -> str:
    """Return how many files were compared, in words."""
    real = f"{parity.images:,} images"
    if parity.converted:
        real += f", {parity.converted:,} of them as PNG, as predict.py does not read their format"
    return f"{real}, and {parity.hard_cases:,} that are easily decoded wrongly"


def describe(result: QuantisationResult) -> Iterator[str]:
    """Yield sentences about 8-bit integers."""
    points = 100 * (result.int8 - result.float32)
    interval = ""
    if result.ci95:
        low, high = (f"{100 * value:+.1f}" for value in result.ci95)
        interval = f", 95% interval {low} to {high}"
    metric = result.metric.replace("_", " ")
    yield (
        f"8-bit integers ({result.way}): {metric} {result.int8:.1%} instead of "
        f"{result.float32:.1%} on {result.images:,} test images ({points:+.1f} points{interval}); "
        f"{result.changed:,} answers change."
    )
    if result.accepted and result.ci95 and 100 * result.ci95[0] < -result.max_drop:
        yield (
            "The test images are too few to show that the loss is below "
            f"{result.max_drop:g} points."
        )
    if None not in result.ece:
        yield f"Calibration error {result.ece[1]:.3f} instead of {result.ece[0]:.3f}."
    losses = [
        (old - new, name)
        for name, old, new in result.by_class
        if old is not None and new is not None
    ]
    if losses and max(losses)[0] > 0:
        loss, name = max(losses)
        yield f"The class that loses most is {name}: recall {-100 * loss:+.1f} points."
    if not result.accepted:
        yield "That is more than --max-drop allows, so the weights stayed in float32."
