"""The task with one label per image.

Imports that only training, evaluation or reports need are local, so that predictions start quickly.
For the same reason the softmax is written in NumPy: importing SciPy's takes a second.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import starmap, zip_longest
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from headstart.answers import Mistake, Prediction, Suspect, Thresholds
from headstart.arrays import (
    Flags,
    Floats,
    Folds,
    Numbers,
    Probabilities,
    Rows,
    Scores,
    Targets,
    Temperature,
)
from headstart.data.paths import list_names
from headstart.errors import OptionError
from headstart.record import (
    ClassResult,
    Evaluation,
    Interval,
    OperatingResult,
    SingleEvaluation,
)
from headstart.record.comparison import MetricDifference
from headstart.task import Activation, ReportPart, Summary
from headstart.tasks.grouping import group_numbers

if TYPE_CHECKING:
    from torch import Tensor


_MAX_CLASSES = 12
_TWO = 2


@dataclass(frozen=True)
class Single:
    """One label per image; see `headstart.task.Task`."""

    name: ClassVar[str] = "single"
    least_classes: ClassVar[int] = 2
    before_names: ClassVar[str] = "Classes:"
    activation: ClassVar[Activation] = "softmax"

    def counted(self, classes: Sequence[str]) -> str:
        """See `Task.counted`."""
        return f"of {len(classes):,} classes"

    def label_text(self, label: str) -> str:
        """See `Task.label_text`."""
        return label

    def classes(self, labels: Iterable[str]) -> tuple[str, ...]:
        """See `Task.classes`."""
        return tuple(sorted(set(labels)))

    def targets(self, labels: Sequence[str], classes: Sequence[str]) -> Targets:
        """Return the class number of each image, (images,)."""
        number = {name: index for index, name in enumerate(classes)}
        return np.array([number[label] for label in labels], dtype=np.int64)

    def scaled_label(self, label: str, size: tuple[int, int]) -> str:
        """See `Task.scaled_label`."""
        return label

    def conflict(self, labels: Collection[str]) -> str | None:
        """See `Task.conflict`."""
        if len(labels) < 2:
            return None
        return f"copies of the image have different labels: {' and '.join(sorted(labels))}"

    def strata(self, targets: Targets) -> Rows:
        """Return the class of each image."""
        return targets

    def folds(self, targets: Targets, groups: Sequence[str], *, folds: int, seed: int) -> Folds:
        """See `Task.folds`."""
        from headstart.data.splits import stratified_folds

        return stratified_folds(targets, groups, folds=folds, seed=seed)

    def present(self, targets: Targets) -> set[int]:
        """See `Task.present`."""
        return set(targets.tolist())

    def unlearnable(self, targets: Targets, groups: Sequence[str]) -> set[int]:
        """Return nothing: a class with few images is trained against the others."""
        return set()

    def encode(self, targets: Targets, classes: int) -> Tensor:
        """Return one-hot rows."""
        import torch

        return torch.nn.functional.one_hot(torch.from_numpy(targets), classes).float()

    def sample_weights(self, targets: Targets, classes: int, *, balanced: bool) -> Floats:
        """Return equal weights, or weights inversely proportional to the frequency of the class."""
        counts = np.bincount(targets, minlength=classes)
        weight = 1 / counts[targets] if balanced else np.ones(len(targets))
        return np.asarray(weight / weight.sum(), dtype=np.float32)

    def loss_and_gradient(self, scores: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Return the multinomial log loss and its gradient."""
        log_probability = scores.log_softmax(dim=-1)
        return -(log_probability * truth), log_probability.exp() - truth

    def uninformed_loss(self, classes: int) -> float:
        """Return the logarithm of the number of classes."""
        return math.log(classes)

    def training_loss(
        self,
        scores: Tensor,
        truth: Tensor,
        *,
        smoothing: float = 0.0,
        weights: Tensor | None = None,
    ) -> Tensor:
        """Return the mean cross-entropy."""
        import torch

        losses = torch.nn.functional.cross_entropy(
            scores, truth, label_smoothing=smoothing, reduction="none"
        )
        return (losses if weights is None else losses * weights).mean()

    def probabilities(self, scores: Scores, temperature: Temperature) -> Probabilities:
        """Return the softmax of the scores; rows sum to 1."""
        calibrated = scores.astype(np.float64) / temperature
        powers = np.exp(calibrated - calibrated.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def link(self, scores: Tensor) -> Tensor:
        """Return the softmax of the scores."""
        return scores.softmax(dim=-1)

    def decide(self, probabilities: Tensor, thresholds: Thresholds | None) -> Tensor:
        """Return one flag for each image, that of its class."""
        import torch

        if thresholds is None or thresholds.positive is None:
            chosen = probabilities.argmax(dim=1, keepdim=True)
        else:
            positive = thresholds.positive
            found = probabilities[:, positive : positive + 1] >= thresholds.values[positive]
            chosen = torch.where(found, positive, 1 - positive)
        return chosen == torch.arange(probabilities.shape[1], device=chosen.device)

    def predict(
        self,
        image: str,
        probabilities: Probabilities,
        classes: Sequence[str],
        top: int,
        thresholds: Thresholds | None = None,
    ) -> Prediction:
        """Return the `top` most probable classes."""
        order = np.argsort(-probabilities, kind="stable")[:top]
        ranked = tuple((classes[number], float(probabilities[number])) for number in order)
        chosen = int(_predicted(probabilities[np.newaxis], thresholds)[0])
        predicted = classes[chosen], float(probabilities[chosen])
        return Prediction(image, *predicted, ranked, probabilities)

    def temperature(self, scores: Scores, targets: Targets) -> float:
        """See `fit_temperature`."""
        from headstart.evaluation.calibration import fit_temperature

        return fit_temperature(scores, targets)

    def thresholds(
        self, probabilities: Probabilities, targets: Targets, purpose: str | None
    ) -> Thresholds | None:
        """Return the threshold of the rarer one of two classes, or None without a purpose."""
        if purpose is None:
            return None
        from headstart.evaluation.operating_points import choose_threshold, parse_operating_point

        point = parse_operating_point(purpose)
        positive = int(np.bincount(targets, minlength=_TWO).argmin())
        chosen = choose_threshold(point, probabilities[:, positive], targets == positive)
        values, notes = [1 - chosen.threshold] * _TWO, [""] * _TWO
        values[positive], notes[positive] = chosen.threshold, chosen.shortfall
        return Thresholds(str(point), tuple(values), tuple(notes), positive)

    def check_operating_point(self, purpose: str | None, classes: Sequence[str]) -> None:
        """See `Task.check_operating_point`."""
        if purpose is None:
            return
        from headstart.evaluation.operating_points import parse_operating_point

        parse_operating_point(purpose)
        if len(classes) != _TWO:
            raise OptionError(
                f"operating_point needs two classes, or several labels per image. There are "
                f"{len(classes):,} classes: {list_names(list(classes))}."
            )

    def losses(self, probabilities: Probabilities, targets: Targets) -> Numbers:
        """Return -log(probability of the true class)."""
        truth = probabilities[np.arange(len(targets)), targets]
        return np.asarray(-np.log(np.maximum(truth, 1e-12)))

    def correct(self, scores: Scores, targets: Targets) -> Flags:
        """Return whether the true class has the highest score."""
        return np.asarray(scores.argmax(axis=1) == targets)

    def evaluate(
        self,
        probabilities: Probabilities,
        targets: Targets,
        classes: Sequence[str],
        *,
        thresholds: Thresholds | None = None,
        groups: Sequence[str] = (),
        prevalence: float | None = None,
        slices: Mapping[str, Sequence[str]] | None = None,
    ) -> SingleEvaluation:
        """See `evaluate_probabilities`, `slice_classes`, and `operating_result` for two classes."""
        from headstart.evaluation.metrics import evaluate_probabilities
        from headstart.evaluation.slice_results import slice_classes

        predicted = _predicted(probabilities, thresholds)
        measured = evaluate_probabilities(
            *(probabilities, targets, classes), predicted=predicted, groups=group_numbers(groups)
        )
        operating = _operating(probabilities, targets, classes, thresholds, groups, prevalence)
        sliced = slice_classes(
            *(probabilities, targets, predicted, self.losses(probabilities, targets), slices or {}),
            positive=thresholds.positive if thresholds else None,
            groups=group_numbers(groups),
        )
        return replace(measured, operating=operating, slices=sliced)

    def hits(
        self, probabilities: Probabilities, targets: Targets, thresholds: Thresholds | None = None
    ) -> Flags:
        """Return whether the predicted class is the true one."""
        return np.asarray(_predicted(probabilities, thresholds) == targets)

    def compare(
        self,
        first: tuple[Probabilities, Thresholds | None],
        second: tuple[Probabilities, Thresholds | None],
        targets: Targets,
        *,
        groups: Sequence[str] = (),
    ) -> tuple[MetricDifference, ...]:
        """Compare accuracy, macro-F1, AUROC and log loss."""
        from headstart.evaluation.named_metrics import class_metrics
        from headstart.evaluation.paired import compare_metrics

        one, other = (
            class_metrics(*(found, targets, _predicted(found, limits), self.losses(found, targets)))
            for found, limits in (first, second)
        )
        return compare_metrics(one, other, group_numbers(groups))

    def answers(
        self,
        probabilities: Probabilities,
        targets: Targets,
        classes: Sequence[str],
        thresholds: Thresholds | None = None,
    ) -> dict[str, Sequence[str | float]]:
        """Return the true and the predicted class, and the probability of the latter."""
        predicted = _predicted(probabilities, thresholds)
        return {
            "truth": [classes[number] for number in targets],
            "predicted": [classes[number] for number in predicted],
            "probability": probabilities[np.arange(len(targets)), predicted].tolist(),
        }

    def worst_mistakes(
        self,
        probabilities: Probabilities,
        targets: Targets,
        classes: Sequence[str],
        *,
        limit: int,
        thresholds: Thresholds | None = None,
    ) -> list[Mistake]:
        """See `Task.worst_mistakes`."""
        predicted = _predicted(probabilities, thresholds)
        wrong = np.flatnonzero(targets != predicted)
        worst = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")][:limit]
        return [
            Mistake(
                int(row),
                classes[targets[row]],
                classes[predicted[row]],
                float(probabilities[row, predicted[row]]),
            )
            for row in worst
        ]

    def suspects(
        self, probabilities: Probabilities, targets: Targets, classes: Sequence[str]
    ) -> list[Suspect]:
        """See `Task.suspects`."""
        from headstart.evaluation.label_errors import confident_errors

        found = confident_errors(probabilities, targets)
        return [
            Suspect(int(row), classes[targets[row]], classes[suggested], float(score))
            for row, suggested, score in zip(*found, strict=True)
        ]

    def describe(self, classes: Sequence[str]) -> str:
        """See `Task.describe`."""
        return f"Image classifier with {len(classes)} classes"

    def summarise(
        self, evaluation: Evaluation, split: str, trained_on: Sequence[int] = ()
    ) -> Summary:
        """See `Task.summarise`."""
        assert isinstance(evaluation, SingleEvaluation)
        low, high = evaluation.accuracy_ci95
        images = f"{evaluation.images:,} {split} images".replace("  ", " ")
        auroc = "not defined" if evaluation.auroc is None else f"{evaluation.auroc:.3f}"
        return Summary(
            headline=f"{evaluation.accuracy:.1%} correct",
            context=f" on {images}, 95% interval {low:.1%} to {high:.1%}",
            figures=f"AUROC {auroc}{_bounds(evaluation.auroc_ci95)} · "
            f"macro-F1 {evaluation.macro_f1:.3f} · calibration error {evaluation.ece:.3f} · "
            f"majority baseline {evaluation.majority:.1%}",
            sentence=f"Accuracy on {evaluation.images} {_described(split)}images: "
            f"{evaluation.accuracy:.1%} (95% interval {low:.1%} to {high:.1%}).",
            columns=_columns(split, counted=bool(trained_on)),
            rows=_class_rows(evaluation.per_class, trained_on),
            note=_not_measured(evaluation),
            operating=tuple(map(str, evaluation.operating)),
        )

    def report_part(self, evaluation: Evaluation, trained_on: Sequence[int] = ()) -> ReportPart:
        """See `Task.report_part`."""
        assert isinstance(evaluation, SingleEvaluation)
        from headstart.report.single import single_part

        return single_part(evaluation, trained_on)


def _predicted(probabilities: Probabilities, thresholds: Thresholds | None) -> Targets:
    """Return the predicted class of each row of probabilities."""
    if thresholds is None or thresholds.positive is None:
        return np.asarray(probabilities.argmax(axis=1))
    positive = thresholds.positive
    found = probabilities[:, positive] >= thresholds.values[positive]
    return np.where(found, positive, 1 - positive)


def _operating(
    probabilities: Probabilities,
    targets: Targets,
    classes: Sequence[str],
    thresholds: Thresholds | None,
    groups: Sequence[str],
    prevalence: float | None,
) -> tuple[OperatingResult, ...]:
    """Measure the operating point of two classes, if there is one."""
    if thresholds is None or thresholds.positive is None:
        if prevalence is not None:
            raise OptionError(
                "prevalence has no effect on a model without an operating point. Train with "
                "--operating-point (operating_point=), such as sensitivity=0.95."
            )
        return ()
    from headstart.evaluation.operating_results import operating_result

    positive = thresholds.positive
    result = operating_result(
        classes[positive],
        probabilities[:, positive],
        targets == positive,
        purpose=thresholds.purpose,
        threshold=thresholds.values[positive],
        shortfall=thresholds.notes[positive],
        groups=group_numbers(groups),
        prevalence=prevalence,
    )
    return (result,)


def _bounds(interval: Interval | None) -> str:
    return f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""


def _described(split: str) -> str:
    """Return a part as it is called in a sentence."""
    return {"test": "held-out test ", "": ""}.get(split, f"{split} ")


def _not_measured(evaluation: SingleEvaluation) -> str:
    """Return a sentence about the classes without images; "" if each class has some."""
    absent, classes = evaluation.absent, len(evaluation.per_class)
    if not absent:
        return ""
    if len(absent) == classes - 1:
        return f"There are only images of one of the {classes:,} classes, so AUROC is not defined."
    return (
        f"No images of {list_names(absent)}: AUROC and macro-F1 are means over the other "
        f"{classes - len(absent):,} of {classes:,} classes."
    )


def _columns(split: str, *, counted: bool) -> tuple[str, ...]:
    """Return the columns of the table by class, with those of `_class_row`."""
    images = f"{split} images>".lstrip()
    return ("class", "precision>", "recall>", "F1>", images, *(["trained on>"] if counted else []))


def _class_rows(
    results: Sequence[ClassResult], trained_on: Sequence[int]
) -> tuple[tuple[str, ...], ...]:
    """Return a row for each class; if there are many, only for the weakest ones tested."""
    rows = list(zip_longest(results, trained_on))
    tested = [(result, count) for result, count in rows if result.recall is not None]
    if len(rows) <= _MAX_CLASSES or len(tested) <= _MAX_CLASSES:
        return tuple(starmap(_class_row, rows if len(rows) <= _MAX_CLASSES else tested))
    weakest = sorted(tested, key=lambda row: row[0].recall or 0.0)[:_MAX_CLASSES]
    note = (f"… the {len(weakest)} of {len(tested)} classes with the lowest recall",)
    return (*starmap(_class_row, weakest), note)


def _class_row(result: ClassResult, trained_on: int | None) -> tuple[str, ...]:
    precision, recall = (_or_dash(share, ".1%") for share in (result.precision, result.recall))
    row = (result.name, precision, recall, _or_dash(result.f1, ".3f"), f"{result.images:,}")
    return row if trained_on is None else (*row, f"{trained_on:,}")


def _or_dash(value: float | None, form: str) -> str:
    """Format a metric; a class without test images has none."""
    return "\u2013" if value is None else format(value, form)
