"""The task with any number of labels per image, each present, absent or unknown.

Imports that only training, evaluation or reports need are local, so that predictions start quickly.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from headstart.answers import Mistake, MultiPrediction, Suspect, Thresholds
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
from headstart.data.labels import SEPARATOR, read_labels
from headstart.errors import OptionError
from headstart.record import Evaluation, MultiEvaluation, OperatingResult
from headstart.record.comparison import MetricDifference
from headstart.task import Activation, ReportPart, Summary
from headstart.tasks.grouping import group_numbers

if TYPE_CHECKING:
    from torch import Tensor

UNKNOWN = -1
"""The target of a label of which it is unknown whether it is present."""

_UNCHOSEN = 0.5
_MIN_GROUPS = 2


@dataclass(frozen=True)
class Multi:
    """Any number of labels per image; see `headstart.task.Task`."""

    name: ClassVar[str] = "multi"
    least_classes: ClassVar[int] = 1
    before_names: ClassVar[str] = "The labels are"
    activation: ClassVar[Activation] = "sigmoid"

    def counted(self, classes: Sequence[str]) -> str:
        """See `Task.counted`."""
        return f"with {len(classes):,} label{'' if len(classes) == 1 else 's'}"

    def classes(self, labels: Iterable[str]) -> tuple[str, ...]:
        """See `Task.classes`."""
        return tuple(sorted({name for text in set(labels) for name in read_labels(text)}))

    def targets(self, labels: Sequence[str], classes: Sequence[str]) -> Targets:
        """Return 1 for a label that is present, 0 for absent, -1 for unknown, (images, classes)."""
        number = {name: index for index, name in enumerate(classes)}
        code = {True: 1, False: 0, None: UNKNOWN}
        targets = np.zeros((len(labels), len(classes)), dtype=np.int64)
        for row, text in enumerate(labels):
            for name, value in read_labels(text).items():
                if name in number:
                    targets[row, number[name]] = code[value]
        return targets

    def label_text(self, label: str) -> str:
        """See `Task.label_text`."""
        return SEPARATOR.join(name for name, present in read_labels(label).items() if present)

    def scaled_label(self, label: str, size: tuple[int, int]) -> str:
        """See `Task.scaled_label`."""
        return label

    def conflict(self, labels: Collection[str]) -> str | None:
        """Return the labels on which copies disagree; what is unknown agrees with everything."""
        read = [read_labels(text) for text in sorted(set(labels))]
        names = sorted({name for each in read for name in each})
        found = [
            name for name in names if {True, False} <= {each.get(name, False) for each in read}
        ]
        if not found:
            return None
        return f"copies of the image disagree about the labels: {', '.join(found)}"

    def strata(self, targets: Targets) -> Rows:
        """Return the rarest label of each image; see `rarest_label`."""
        from headstart.data.splits import rarest_label

        return rarest_label(targets)

    def folds(self, targets: Targets, groups: Sequence[str], *, folds: int, seed: int) -> Folds:
        """See `iterative_folds`."""
        from headstart.data.splits import iterative_folds

        return iterative_folds(targets, groups, folds=folds, seed=seed)

    def present(self, targets: Targets) -> set[int]:
        """See `Task.present`."""
        return set(np.flatnonzero((targets == 1).any(axis=0)).tolist())

    def unlearnable(self, targets: Targets, groups: Sequence[str]) -> set[int]:
        """Return the labels that are not present in two groups, or not absent in two.

        Without a second group, folds cannot tell whether the label was learnt.
        """
        names = np.asarray(groups, dtype=np.str_)
        return {
            number
            for number, truth in enumerate(targets.T)
            if min(len(set(names[truth == value])) for value in (0, 1)) < _MIN_GROUPS
        }

    def encode(self, targets: Targets, classes: int) -> Tensor:
        """Return 1 and 0, and NaN for what is unknown."""
        import torch

        truth = torch.from_numpy(targets).float()
        return truth.masked_fill(truth == UNKNOWN, math.nan)

    def sample_weights(self, targets: Targets, classes: int, *, balanced: bool) -> Floats:
        """Return equal weights.

        Raises:
            OptionError: `balanced` is set, which has no meaning for several labels per image.
        """
        if balanced:
            raise OptionError(
                "balanced has no effect with several labels per image, because each label has its "
                "own threshold. Remove it."
            )
        return np.full(len(targets), 1 / max(1, len(targets)), dtype=np.float32)

    def loss_and_gradient(self, scores: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Return the binary log loss of each label and its gradient; 0 where it is unknown."""
        import torch

        known = ~truth.isnan()
        truth = truth.nan_to_num()
        losses = torch.nn.functional.softplus(scores) - scores * truth
        return losses * known, (scores.sigmoid() - truth) * known

    def uninformed_loss(self, classes: int) -> float:
        """Return the sum over the labels of the loss of a probability of one half."""
        return classes * math.log(2)

    def training_loss(
        self,
        scores: Tensor,
        truth: Tensor,
        *,
        smoothing: float = 0.0,
        weights: Tensor | None = None,
    ) -> Tensor:
        """Return the binary log loss, summed over the known labels, as a mean over the images."""
        import torch

        known = ~truth.isnan()
        smoothed = truth.nan_to_num() * (1 - smoothing) + smoothing / 2
        losses = torch.nn.functional.binary_cross_entropy_with_logits(
            scores, smoothed, reduction="none"
        )
        total = (losses * known).sum(dim=1)
        return (total if weights is None else total * weights).mean()

    def probabilities(self, scores: Scores, temperature: Temperature) -> Probabilities:
        """Return the logistic function of the scores, of each label by itself."""
        calibrated = scores.astype(np.float64) / temperature
        return np.asarray(0.5 + 0.5 * np.tanh(0.5 * calibrated))

    def link(self, scores: Tensor) -> Tensor:
        """Return the logistic function of the scores."""
        return scores.sigmoid()

    def decide(self, probabilities: Tensor, thresholds: Thresholds | None) -> Tensor:
        """Return a flag for each label that reaches its threshold."""
        limits = _limits(thresholds, probabilities.shape[1])
        return probabilities >= probabilities.new_tensor(limits)

    def predict(
        self,
        image: str,
        probabilities: Probabilities,
        classes: Sequence[str],
        top: int,
        thresholds: Thresholds | None = None,
    ) -> MultiPrediction:
        """Return the labels that reach their threshold, and the `top` most probable ones."""
        order = np.argsort(-probabilities, kind="stable")
        limits = _limits(thresholds, len(classes))
        ranked = [(classes[number], float(probabilities[number])) for number in order]
        found = tuple(
            pair
            for pair, number in zip(ranked, order, strict=True)
            if probabilities[number] >= limits[number]
        )
        return MultiPrediction(image, found, tuple(ranked[:top]), probabilities)

    def temperature(self, scores: Scores, targets: Targets) -> Temperature:
        """See `fit_label_temperatures`."""
        from headstart.evaluation.calibration import fit_label_temperatures

        return fit_label_temperatures(scores, targets)

    def thresholds(
        self, probabilities: Probabilities, targets: Targets, purpose: str | None
    ) -> Thresholds:
        """Return the threshold of each label, by default for the highest F1."""
        from headstart.evaluation.operating_points import (
            DEFAULT_PURPOSE,
            choose_threshold,
            parse_operating_point,
        )

        point = parse_operating_point(purpose or DEFAULT_PURPOSE)
        values, notes = [], []
        for scores, truth in zip(probabilities.T, targets.T, strict=True):
            known = truth != UNKNOWN
            positive = truth[known] == 1
            if positive.all() or not positive.any():
                values.append(_UNCHOSEN)
                notes.append("")
                continue
            chosen = choose_threshold(point, scores[known], positive)
            values.append(chosen.threshold)
            notes.append(chosen.shortfall)
        return Thresholds(str(point), tuple(values), tuple(notes))

    def check_operating_point(self, purpose: str | None, classes: Sequence[str]) -> None:
        """See `Task.check_operating_point`."""
        from headstart.evaluation.operating_points import DEFAULT_PURPOSE, parse_operating_point

        parse_operating_point(purpose or DEFAULT_PURPOSE)

    def losses(self, probabilities: Probabilities, targets: Targets) -> Numbers:
        """Return the sum over the known labels of -log(probability of the truth)."""
        truth = np.where(targets == 1, probabilities, 1 - probabilities)
        losses = -np.log(np.maximum(truth, 1e-12))
        return np.asarray(np.where(targets == UNKNOWN, 0.0, losses).sum(axis=1))

    def correct(self, scores: Scores, targets: Targets) -> Flags:
        """Return whether all known labels are on the right side of a probability of one half."""
        return np.asarray((((scores > 0) == (targets == 1)) | (targets == UNKNOWN)).all(axis=1))

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
    ) -> MultiEvaluation:
        """See `evaluate_labels`, `slice_labels`, and `operating_result` for each label."""
        from headstart.evaluation.multi_metrics import evaluate_labels
        from headstart.evaluation.slice_results import slice_labels

        limits = _limits(thresholds, len(classes))
        measured = evaluate_labels(probabilities, targets, classes, limits, groups=groups)
        sliced = slice_labels(
            *(probabilities, targets, probabilities >= np.array(limits)),
            *(self.losses(probabilities, targets), self.strata(targets), slices or {}),
            groups=group_numbers(groups),
        )
        measured = replace(measured, slices=sliced)
        if thresholds is None:
            return measured
        operating = _operating(probabilities, targets, classes, thresholds, groups, prevalence)
        return replace(measured, operating=operating)

    def hits(
        self, probabilities: Probabilities, targets: Targets, thresholds: Thresholds | None = None
    ) -> Flags:
        """Return whether all known labels are predicted correctly."""
        found = probabilities >= np.array(_limits(thresholds, targets.shape[1]))
        return np.asarray(((found == (targets == 1)) | (targets == UNKNOWN)).all(axis=1))

    def compare(
        self,
        first: tuple[Probabilities, Thresholds | None],
        second: tuple[Probabilities, Thresholds | None],
        targets: Targets,
        *,
        groups: Sequence[str] = (),
    ) -> tuple[MetricDifference, ...]:
        """Compare macro means of AUROC, average precision and F1, subset accuracy and log loss."""
        from headstart.evaluation.named_metrics import label_metrics
        from headstart.evaluation.paired import compare_metrics

        one, other = (
            label_metrics(
                *(found, targets, found >= np.array(_limits(limits, targets.shape[1]))),
                self.losses(found, targets),
            )
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
        """Return the labels that are present, unknown and predicted, separated by "|"."""
        found = probabilities >= np.array(_limits(thresholds, len(classes)))
        return {
            "truth": _joined(targets == 1, classes),
            "unknown": _joined(targets == UNKNOWN, classes),
            "predicted": _joined(found, classes),
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
        """See `worst_label_mistakes`."""
        from headstart.evaluation.label_mistakes import worst_label_mistakes

        limits = _limits(thresholds, len(classes))
        return worst_label_mistakes(probabilities, targets, classes, limits, limit=limit)

    def suspects(
        self, probabilities: Probabilities, targets: Targets, classes: Sequence[str]
    ) -> list[Suspect]:
        """See `Task.suspects`; each label is examined by itself."""
        from headstart.evaluation.label_errors import confident_label_errors

        found = []
        for column, name in enumerate(classes):
            known = np.flatnonzero(targets[:, column] != UNKNOWN)
            present = np.asarray(targets[known, column] == 1)
            for place, score in zip(
                *confident_label_errors(probabilities[known, column], present), strict=True
            ):
                words = ("present", "absent") if present[place] else ("absent", "present")
                label, suggested = (f"{name} {word}" for word in words)
                found.append(Suspect(int(known[place]), label, suggested, float(score), name))
        return sorted(found, key=lambda suspect: -suspect.score)

    def describe(self, classes: Sequence[str]) -> str:
        """See `Task.describe`."""
        return f"Image classifier with {len(classes)} labels, any number of them per image"

    def summarise(
        self, evaluation: Evaluation, split: str, trained_on: Sequence[int] = ()
    ) -> Summary:
        """See `Task.summarise`."""
        assert isinstance(evaluation, MultiEvaluation)
        from headstart.evaluation.multi_summary import summarise

        return summarise(evaluation, split, trained_on)

    def report_part(self, evaluation: Evaluation, trained_on: Sequence[int] = ()) -> ReportPart:
        """See `Task.report_part`."""
        assert isinstance(evaluation, MultiEvaluation)
        from headstart.report.multi import multi_part

        return multi_part(evaluation, trained_on)


def _operating(
    probabilities: Probabilities,
    targets: Targets,
    classes: Sequence[str],
    thresholds: Thresholds,
    groups: Sequence[str],
    prevalence: float | None,
) -> tuple[OperatingResult, ...]:
    """Measure each label at its threshold, on the images in which it is known."""
    from headstart.evaluation.operating_results import operating_result

    numbers = group_numbers(groups)
    results = []
    for number, name in enumerate(classes):
        known = targets[:, number] != UNKNOWN
        result = operating_result(
            name,
            probabilities[known, number],
            targets[known, number] == 1,
            purpose=thresholds.purpose,
            threshold=thresholds.values[number],
            shortfall=thresholds.notes[number],
            groups=None if numbers is None else numbers[known],
            prevalence=prevalence,
        )
        results.append(result)
    return tuple(results)


def _limits(thresholds: Thresholds | None, classes: int) -> tuple[float, ...]:
    return thresholds.values if thresholds else (_UNCHOSEN,) * classes


def _joined(flags: Flags, classes: Sequence[str]) -> list[str]:
    """Return the names of the labels that are set in each row."""
    return ["|".join(classes[int(number)] for number in np.flatnonzero(row)) for row in flags]
