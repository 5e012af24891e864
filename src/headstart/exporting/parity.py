"""The parity gate: an exported file must answer as the model does, from the same image files.

The exported file runs with the script beside it in a process of its own, as on another machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import JsonValue

from headstart.answers import MultiPrediction
from headstart.arrays import Numbers, Probabilities
from headstart.data.contract import PixelContract
from headstart.data.decoding import decode, read_image
from headstart.errors import ExportError, OptionError, UnreadableImage
from headstart.exporting.hard_cases import write_hard_cases
from headstart.exporting.script import BATCH, run_script
from headstart.predictor.decoding import decode_ahead
from headstart.predictor.predictor import AnyPrediction, FailedPrediction, Predictor
from headstart.record.export import HalfResult, ParityResult
from headstart.watching import Warn

TOLERANCE = 1e-4
"""The largest difference of a probability that rounding explains."""

MAY_BE_REFUSED = ("sixteen_bits.png", "cut_off.jpg")
"""The hard cases that the script need not read."""

_SHOWN = 5
_HARD_CASES_FROM = 4
_FEW = 20


@dataclass(frozen=True)
class Answer:
    """The answer of a model to an image.

    Attributes:
        labels: The predicted labels.
        unknown: Whether the image is unlike all training images.
        values: The probability of each class, or the features.
    """

    labels: tuple[str, ...]
    unknown: bool
    values: Numbers

    def __str__(self) -> str:
        labels = ", ".join(self.labels) or "no label"
        return f"{labels} ({self.values.max():.4f})" + (", unknown" if self.unknown else "")


Answers = list[Answer | str]
"""The answer to each file, or why there is none."""


@dataclass(frozen=True)
class CheckFiles:
    """The files that an export is checked with.

    Attributes:
        real: Files of the user, or copies as PNG of those that the script does not read.
        hard: Files that are made to be decoded wrongly.
        converted: The number of copies.
    """

    real: tuple[Path, ...]
    hard: tuple[Path, ...]
    converted: int = 0

    @property
    def all(self) -> tuple[Path, ...]:
        """All files."""
        return *self.real, *self.hard


def check_files(
    files: Sequence[Path], contract: PixelContract, folder: Path, warn: Warn
) -> CheckFiles:
    """Return the files that can be read, and write hard cases made from the first ones.

    Args:
        files: Image files.
        contract: How the model reads the pixels of a file.
        folder: The folder to create for the hard cases.
        warn: Called with warnings for the user.

    Raises:
        OptionError: None can be read.
    """
    readable, pictures, reason = list[Path](), list[Image.Image](), ""
    for file in files:
        try:
            picture = decode(read_image(str(file)), path=str(file), contract=contract)
        except UnreadableImage as error:
            reason = reason or str(error)
            continue
        readable.append(file)
        if len(pictures) < _HARD_CASES_FROM:
            pictures.append(Image.fromarray(picture))
    if not readable:
        raise OptionError(
            f"No image to check the export with can be read. {reason} Name others with --images."
        )
    if len(readable) < len(files):
        warn(f"{len(files) - len(readable):,} of {len(files):,} images cannot be read.")
    if len(readable) < _FEW:
        warn(f"Only {len(readable):,} images check the export. Name more with --images.")
    return CheckFiles(tuple(readable), tuple(write_hard_cases(pictures, folder)))


def with_readable_copies(
    files: CheckFiles, answers: Sequence[object | str], contract: PixelContract, folder: Path
) -> CheckFiles:
    """Replace real files that the script refuses by copies as PNG, in 8 bits per channel.

    Args:
        files: The files.
        answers: The answer to each, or why the script refuses it.
        contract: How the model reads the pixels of a file.
        folder: The folder of the copies.
    """
    real, converted = list[Path](), 0
    folder.mkdir(parents=True, exist_ok=True)
    for number, (file, answer) in enumerate(zip(files.real, answers, strict=False)):
        if isinstance(answer, str):
            decoded = decode(read_image(str(file)), path=str(file), contract=contract)
            file, converted = folder / f"{number}.png", converted + 1
            Image.fromarray(decoded).save(file)
        real.append(file)
    return CheckFiles(tuple(real), files.hard, converted)


def answers_of_model(model: Predictor, files: Sequence[Path], *, features: bool) -> Answers:
    """Return the answers of a model to image files.

    Args:
        model: The model.
        files: The files.
        features: Whether features are compared instead of predictions.
    """
    if features:
        return _features_of_model(model, files)
    return [_answer(one) for one in model.predict_each([str(file) for file in files])]


def answers_of_export(
    folder: Path, files: Sequence[Path], classes: Sequence[str], *, batch: int = BATCH
) -> Answers:
    """Return the answers of an exported file; see `answers_of_model`.

    Raises:
        ExportError: It cannot be run, or a class is missing.
    """
    return [_parsed(values, classes) for values in run_script(folder, files, batch=batch)]


def check_parity(
    folder: Path,
    files: CheckFiles,
    models: tuple[Predictor, Predictor],
    work: Path,
    *,
    features: bool = False,
) -> tuple[ParityResult, CheckFiles]:
    """Compare an exported file with the model that it was made from.

    Args:
        folder: The exported file with its script.
        files: The files to compare.
        models: The model in float32, and in the precision in which it was measured.
        work: A folder for copies of files.
        features: Whether features are compared instead of predictions.

    Returns:
        The comparison, and the files with copies of those that the script does not read.

    Raises:
        ExportError: A file gets another answer; the message lists them.
    """
    model, measured = models
    got, files = answers_with_copies(folder, files, model, work)
    expected = answers_of_model(model, files.all, features=features)
    scale = _largest(expected) if features else 1.0
    compared = [
        number
        for number, (file, answer) in enumerate(zip(files.all, got, strict=True))
        if not (isinstance(answer, str) and file in files.hard and file.name in MAY_BE_REFUSED)
    ]
    difference = _check_same(model, files.all, expected, got, compared, scale)
    other = expected
    if not features and measured.extractor.precision != model.extractor.precision:
        other = answers_of_model(measured, files.all, features=False)
    result = ParityResult(
        images=len(files.real),
        converted=files.converted,
        hard_cases=len(compared) - len(files.real),
        refused=tuple(
            file.name for number, file in enumerate(files.all) if isinstance(got[number], str)
        ),
        difference=difference,
        batch_difference=_check_batches(folder, files.real, got, model.classes, scale),
        precision=measured.extractor.precision,
        measured_changed=sum(not _same(other[number], got[number]) for number in compared),
    )
    return result, files


def answers_with_copies(
    folder: Path, files: CheckFiles, model: Predictor, work: Path
) -> tuple[Answers, CheckFiles]:
    """Return the answers of an exported file, to copies where the script refuses a real file."""
    got = answers_of_export(folder, files.all, model.classes)
    if not any(isinstance(answer, str) for answer in got[: len(files.real)]):
        return got, files
    files = with_readable_copies(files, got, model.extractor.preprocess.contract, work)
    return answers_of_export(folder, files.all, model.classes), files


def _check_same(
    model: Predictor,
    files: Sequence[Path],
    expected: Answers,
    got: Answers,
    compared: Sequence[int],
    scale: float,
) -> float:
    """Return the largest difference of the compared answers.

    A label may differ only if its probability is at the threshold, but for rounding.

    Raises:
        ExportError: An answer differs.
    """
    differences = {
        number: _difference(expected[number], got[number]) / scale for number in compared
    }
    wrong = [
        (files[number], expected[number], got[number])
        for number, difference in differences.items()
        if not difference <= TOLERANCE or not _agree(model, expected[number], got[number])
    ]
    if wrong:
        raise _refused(wrong)
    return max(differences.values())


def _check_batches(
    folder: Path, files: Sequence[Path], got: Answers, classes: Sequence[str], scale: float
) -> float:
    """Return the largest difference between answers to one image at a time and to several.

    Raises:
        ExportError: It is too large.
    """
    few = files[:BATCH]
    single = answers_of_export(folder, few, classes, batch=1)
    difference = max(map(_difference, got[: len(few)], single)) / scale
    if difference > TOLERANCE:
        raise ExportError(
            f"The exported model answers differently to a batch of one image and of {BATCH}: "
            f"by up to {difference:.1g}."
        )
    return difference


def compare_half(exact: Answers, half: Answers, *, features: bool) -> HalfResult:
    """Compare answers of a file with weights in half precision with those in float32."""
    pairs = list(zip(exact, half, strict=True))
    scale = _largest(exact) if features else 1.0
    return HalfResult(
        len(pairs),
        count_changed(exact, half),
        max(_difference(one, other) for one, other in pairs) / scale,
    )


def probabilities_of(answers: Answers) -> Probabilities:
    """Return the probabilities of answers, (images, classes).

    Raises:
        ExportError: An image has none.
    """
    rows = [answer.values for answer in answers if isinstance(answer, Answer)]
    if len(rows) < len(answers):
        reason = next(answer for answer in answers if isinstance(answer, str))
        raise ExportError(f"The exported script cannot read some of the images: {reason}.")
    return np.stack(rows)


def count_changed(first: Answers, second: Answers) -> int:
    """Return the number of images with other labels, or that are unknown to one of them only."""
    return sum(_labels(one) != _labels(other) for one, other in zip(first, second, strict=True))


def _labels(answer: Answer | str) -> tuple[tuple[str, ...], bool] | str:
    return answer if isinstance(answer, str) else (answer.labels, answer.unknown)


def _answer(prediction: AnyPrediction) -> Answer | str:
    if isinstance(prediction, FailedPrediction):
        return prediction.error
    if isinstance(prediction, MultiPrediction):
        labels = tuple(label for label, _ in prediction.labels)
    else:
        labels = (prediction.label,)
    return Answer(tuple(sorted(labels)), bool(prediction.unknown), prediction.probabilities)


def _features_of_model(model: Predictor, files: Sequence[Path]) -> Answers:
    answers: Answers = []
    for _, pixels in decode_ahead([str(file) for file in files], model.extractor.preprocess):
        if isinstance(pixels, UnreadableImage):
            answers.append(pixels.reason)
        else:
            (features,) = model.extractor.of_pixels([pixels])
            answers.append(Answer((), False, features[0]))
    return answers


def _parsed(values: dict[str, JsonValue], classes: Sequence[str]) -> Answer | str:
    """Read what the script printed about an image."""
    if "error" in values:
        return str(values["error"])
    if "features" in values:
        return Answer((), False, np.array(values["features"]))
    probabilities, labels = values["probabilities"], values.get("labels", [values.get("label")])
    assert isinstance(probabilities, dict) and isinstance(labels, list)
    if tuple(probabilities) != tuple(classes):
        raise ExportError(
            f"The exported model has the classes {', '.join(probabilities)}, in this order, but "
            f"the model has {', '.join(classes)}."
        )
    return Answer(
        tuple(sorted(map(str, labels))),
        bool(values.get("unknown")),
        np.array(list(probabilities.values()), dtype=np.float64),
    )


def _difference(first: Answer | str, second: Answer | str) -> float:
    if isinstance(first, str) or isinstance(second, str):
        return inf
    gap = float(np.abs(first.values - second.values).max())
    return gap if isfinite(gap) else inf


def _same(first: Answer | str, second: Answer | str) -> bool:
    if isinstance(first, str) or isinstance(second, str):
        return False
    return (first.labels, first.unknown) == (second.labels, second.unknown)


def _agree(model: Predictor, first: Answer | str, second: Answer | str) -> bool:
    """Return whether labels are the same where rounding cannot decide them."""
    if isinstance(first, str) or isinstance(second, str) or first.unknown != second.unknown:
        return False
    probabilities = dict(zip(model.classes, first.values.tolist(), strict=False))
    differing = set(first.labels) ^ set(second.labels)
    found = [probabilities[label] for label in differing]
    if model.task.activation == "softmax" and model.thresholds is None:
        return not found or max(found) - min(found) <= 2 * TOLERANCE
    values = model.thresholds.values if model.thresholds else [0.5] * len(model.classes)
    limits = dict(zip(model.classes, values, strict=True))
    gaps = [abs(probabilities[label] - limits[label]) for label in differing]
    return all(gap <= TOLERANCE for gap in gaps)


def _largest(answers: Answers) -> float:
    values = [float(np.abs(one.values).max()) for one in answers if isinstance(one, Answer)]
    return max(values, default=0.0) or 1.0


def _refused(wrong: Sequence[tuple[Path, Answer | str, Answer | str]]) -> ExportError:
    """Return the error that names files with their answers."""
    lines = [
        f"  {file.name}: {expected}; exported: {got}"
        + ("" if (gap := _difference(expected, got)) == inf else f"; difference {gap:.1g}")
        for file, expected, got in wrong[:_SHOWN]
    ]
    more = [f"  and {len(wrong) - _SHOWN:,} more"] if len(wrong) > _SHOWN else []
    return ExportError(
        f"The exported model answers differently, so it was not written "
        f"({len(wrong):,} of the checked images; differences up to {TOLERANCE:g} are allowed):\n"
        + "\n".join([*lines, *more])
    )
