"""The parity gate of detectors: an exported file must find the same boxes in the same image files.

Boxes are compared as the script beside the file prints them, in pixels of the image. The outputs of
the network are compared too, at all points, as most of their boxes are never shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from headstart.arrays import Flags, Numbers
from headstart.boxes import Detections
from headstart.data.inputs import ImageInput
from headstart.errors import ExportError
from headstart.exporting.parity import MAY_BE_REFUSED, TOLERANCE, CheckFiles, with_readable_copies
from headstart.exporting.script import BATCH, run_network, run_script
from headstart.exporting.suppression import Candidates, are_same, may_be_left
from headstart.heads.boxes.detections import LEAST_SCORE
from headstart.predictor.detector import Detector
from headstart.predictor.placed import decode_placed
from headstart.predictor.predictor import FailedPrediction
from headstart.record.export import ParityResult

DISTANCE = 0.5
"""The largest distance of a box's edge from where the detector has it, in pixels."""

FoundBoxes = list[Detections | str]
"""The boxes in each file that reach their threshold, or why there are none."""

_SHOWN = 5


class _PrintedBox(BaseModel):
    label: str
    probability: float
    box: tuple[float, float, float, float]


_BOXES = TypeAdapter(list[_PrintedBox])


@dataclass(frozen=True)
class BoxesParityResult(ParityResult):
    """The comparison of an exported file with the detector that it was made from.

    Its differences are those of a probability at any point, shown or not.

    Attributes:
        boxes: The number of compared boxes that reach their threshold.
        distance: The largest distance of an edge of such a box, in pixels of the image.
        by_rounding: Images in which rounding decides which of two boxes is left, or shown.
    """

    boxes: int
    distance: float
    by_rounding: int


@dataclass(frozen=True)
class BoxesComparison:
    """The comparison of the boxes in an image.

    Attributes:
        distances: The distance of each pair of the same box, in pixels of the image, (pairs,).
        difference: The largest difference of their probabilities.
        missing: The boxes that only the detector finds.
        additional: The boxes that only the exported file finds.
    """

    distances: Numbers
    difference: float
    missing: Detections
    additional: Detections

    @property
    def is_same(self) -> bool:
        """Whether all boxes are in both."""
        return not len(self.missing) and not len(self.additional)


def compare_boxes(expected: Detections, got: Detections) -> BoxesComparison:
    """Compare the boxes in an image, each with the nearest of its class that is within rounding."""
    same, apart = are_same(expected, got, distance=DISTANCE, difference=TOLERANCE)
    free, pairs = np.ones(len(got), np.bool_), list[tuple[int, int]]()
    for row, possible in enumerate(same):
        if (possible & free).any():
            other = int(np.where(possible & free, apart[row], np.inf).argmin())
            free[other] = False
            pairs.append((row, other))
    left, right = (np.array(one, np.int64) for one in zip(*pairs, strict=True)) if pairs else _NONE
    missing = np.ones(len(expected), np.bool_)
    missing[left] = False
    gaps = np.abs(expected.scores[left] - got.scores[right])
    return BoxesComparison(
        apart[left, right], float(gaps.max(initial=0)), expected.take(missing), got.take(free)
    )


_NONE = np.zeros(0, np.int64), np.zeros(0, np.int64)


def check_detector_parity(
    folder: Path, files: CheckFiles, detectors: tuple[Detector, Detector], work: Path
) -> BoxesParityResult:
    """Compare an exported file with the detector that it was made from.

    Args:
        folder: The exported file with its script.
        files: The files to compare.
        detectors: The detector in float32 on the CPU, and in the precision in which it was
            measured.
        work: A folder for files.

    Raises:
        ExportError: A file gets other boxes; the message lists them.
    """
    exact, measured = detectors
    got, files = _boxes_with_copies(folder, files, exact, work / "copies")
    expected = boxes_of_detector(exact, files.all)
    compared = [
        number
        for number, (file, found) in enumerate(zip(files.all, got, strict=True))
        if not (isinstance(found, str) and file in files.hard and file.name in MAY_BE_REFUSED)
    ]
    other = expected if measured.precision == exact.precision else None
    if other is None:
        other = boxes_of_detector(measured, files.all)
    shown = _check_same(exact, files.all, expected, got, compared)
    outputs = _check_outputs(folder, exact, files.real[:BATCH], work / "outputs")
    return BoxesParityResult(
        images=len(files.real),
        converted=files.converted,
        hard_cases=len(compared) - len(files.real),
        refused=tuple(
            file.name for file, found in zip(files.all, got, strict=True) if isinstance(found, str)
        ),
        difference=max(shown.difference, outputs.difference),
        batch_difference=outputs.batch_difference,
        precision=measured.precision,
        measured_changed=sum(_labels(other[number]) != _labels(got[number]) for number in compared),
        boxes=shown.boxes,
        distance=shown.distance,
        by_rounding=shown.by_rounding,
    )


def boxes_of_detector(detector: Detector, files: Sequence[Path]) -> FoundBoxes:
    """Return the boxes that a detector finds in image files."""
    limits = np.array(detector.thresholds.values)
    return [
        found.error if isinstance(found, FailedPrediction) else found.detections.above(limits)
        for found in detector.predict_each([str(file) for file in files])
    ]


def boxes_of_export(folder: Path, files: Sequence[Path], classes: Sequence[str]) -> FoundBoxes:
    """Return the boxes that the script in a folder prints.

    Raises:
        ExportError: It cannot be run, or prints something else.
    """
    return [_parsed(values, classes) for values in run_script(folder, files)]


@dataclass(frozen=True)
class _ShownBoxes:
    """The comparison of what is printed; see `BoxesParityResult`."""

    boxes: int
    distance: float
    difference: float
    by_rounding: int


@dataclass(frozen=True)
class _Outputs:
    """The comparison of the network's outputs; see `BoxesParityResult`."""

    difference: float
    batch_difference: float


def _boxes_with_copies(
    folder: Path, files: CheckFiles, detector: Detector, work: Path
) -> tuple[FoundBoxes, CheckFiles]:
    """Return the boxes of an exported file, in copies where the script refuses a real file."""
    got = boxes_of_export(folder, files.all, detector.classes)
    if not any(isinstance(found, str) for found in got[: len(files.real)]):
        return got, files
    files = with_readable_copies(files, got, detector.contract, work)
    return boxes_of_export(folder, files.all, detector.classes), files


def _check_same(
    detector: Detector,
    files: Sequence[Path],
    expected: FoundBoxes,
    got: FoundBoxes,
    compared: Sequence[int],
) -> _ShownBoxes:
    """Compare the boxes in the compared files.

    Raises:
        ExportError: A file gets other boxes.
    """
    wrong, same, by_rounding = list[str](), list[BoxesComparison](), 0
    for number in compared:
        file, first, second = files[number], expected[number], got[number]
        if isinstance(first, str) or isinstance(second, str):
            wrong.append(f"  {file.name}: {_counted(first)}; exported: {_counted(second)}")
            continue
        result = compare_boxes(first, second)
        same.append(result)
        if result.is_same:
            continue
        if _rounding_explains(detector, file, second, result):
            by_rounding += 1
        else:
            wrong.append(f"  {file.name}: {_described(detector, result)}")
    if wrong:
        raise _refused(wrong)
    distances = np.concatenate([result.distances for result in same])
    difference = max(result.difference for result in same)
    return _ShownBoxes(len(distances), float(distances.max(initial=0)), difference, by_rounding)


def _rounding_explains(
    detector: Detector, file: Path, got: Detections, result: BoxesComparison
) -> bool:
    """Return whether boxes are at their threshold, or suppression may leave others."""
    limits = np.maximum(detector.thresholds.values, LEAST_SCORE)
    if all(_at_threshold(boxes, limits).all() for boxes in (result.missing, result.additional)):
        return True
    candidates = Candidates.of(detector, file)
    return may_be_left(got, candidates, limits, distance=DISTANCE, difference=TOLERANCE)


def _at_threshold(boxes: Detections, limits: Numbers) -> Flags:
    """Return which boxes have the probability of their threshold, but for rounding, (boxes,)."""
    near: Flags = np.abs(boxes.scores - limits[boxes.classes]) <= TOLERANCE
    return near


def _check_outputs(folder: Path, detector: Detector, files: Sequence[Path], work: Path) -> _Outputs:
    """Compare the outputs of the network for images, in batches of one and of several.

    Raises:
        ExportError: They differ.
    """
    pixels = [decode_placed(ImageInput.of(str(file)), detector.preprocess)[0] for file in files]
    rows = torch.from_numpy(detector.engine.infer(np.stack(pixels)))
    side, probabilities = detector.preprocess.size, rows[..., 4:].sigmoid().numpy()
    corners = detector.points.corners(rows[..., :4]).numpy().clip(0, side)
    several, single = run_network(folder, np.stack(pixels), work, batches=(BATCH, 1))
    matter = probabilities.max(axis=2) >= LEAST_SCORE
    difference = float(np.abs(several[1] - probabilities).max())
    batches = float(np.abs(several[1] - single[1]).max())
    apart = [np.abs(boxes.clip(0, side) - corners)[matter] for boxes, _ in (several, single)]
    distance = float(np.max(apart, initial=0))
    within = difference <= TOLERANCE, batches <= TOLERANCE, distance <= DISTANCE
    if not all(within):  # What is not a number is not within either.
        raise ExportError(
            "The outputs of the exported model are not those of the model, so it was not written: "
            f"boxes differ by up to {distance:.2g} pixels of the input, and probabilities by up to "
            f"{difference:.1g}, or {batches:.1g} between a batch of one image and of {BATCH}."
        )
    return _Outputs(difference, batches)


def _parsed(values: dict[str, JsonValue], classes: Sequence[str]) -> Detections | str:
    """Read what the script printed about an image."""
    if "error" in values:
        return str(values["error"])
    try:
        boxes = _BOXES.validate_python(values.get("boxes"))
        numbers = [classes.index(box.label) for box in boxes]
    except (ValidationError, ValueError):
        raise ExportError(
            f"The exported model does not print boxes of the classes {', '.join(classes)}: {values}"
        ) from None
    return Detections(
        np.array([box.box for box in boxes], np.float32).reshape(-1, 4),
        np.array(numbers, np.int64),
        np.array([box.probability for box in boxes], np.float64),
    )


def _labels(found: Detections | str) -> list[int] | str:
    return found if isinstance(found, str) else sorted(found.classes.tolist())


def _counted(found: Detections | str) -> str:
    return found if isinstance(found, str) else f"{len(found):,} boxes"


def _described(detector: Detector, result: BoxesComparison) -> str:
    """Return the first box that only one of the two finds, and how many there are."""
    parts = []
    for name, boxes in (("missing", result.missing), ("additional", result.additional)):
        if len(boxes):
            corners = ", ".join(f"{value:.1f}" for value in boxes.corners[0])
            label = f"{detector.classes[boxes.classes[0]]} ({boxes.scores[0]:.4f})"
            parts.append(f"{len(boxes):,} {name}, such as {label} at {corners}")
    return "; ".join(parts)


def _refused(wrong: Sequence[str]) -> ExportError:
    """Return the error that names files with their boxes."""
    more = [f"  and {len(wrong) - _SHOWN:,} more"] if len(wrong) > _SHOWN else []
    return ExportError(
        f"The exported model finds other boxes, so it was not written ({len(wrong):,} of the "
        f"checked images; {DISTANCE:g} pixels and {TOLERANCE:g} of a probability are allowed):\n"
        + "\n".join([*wrong[:_SHOWN], *more])
    )
