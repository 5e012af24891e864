"""The choice of heads: which kind may be fitted, on which features, and on which images to decide.

Candidates are compared by cross-validation on the training part. A given validation part decides
instead if it is as large, or if it is large enough to show that the folds mislead: it is usually
more like future images than the training part. Both estimates are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from headstart.arrays import Features, Folds, Targets
from headstart.backbones.layout import FeatureLayout
from headstart.errors import OptionError
from headstart.heads.problem import (
    Candidate,
    HeadFit,
    HeldOutEstimate,
    Problem,
    effort_for,
)
from headstart.heads.specs import AutoHead, FixedHead, Head, LinearHead
from headstart.heads.streaming import Read, StreamedProblem, fit_streamed
from headstart.task import Task
from headstart.watching import Progress, no_progress

MIN_VAL_IMAGES = 100
"""The smallest validation part that decides. See docs/decisions/validation.md."""

# Difference between the losses on folds and on the validation part, in standard errors, that is not
# chance.
_CONTRADICTION = 2.0
# Features of heads that are streamed.
_STREAMED = "last"


@dataclass(frozen=True)
class ValidationPart:
    """The features of a given validation part.

    Attributes:
        features: Shape (images, width).
        targets: The label of each image, as the task encodes it.
    """

    features: Features
    targets: Targets


@dataclass(frozen=True)
class HeadChoice:
    """An unfitted head, and everything that fitting needs besides the images.

    Attributes:
        head: The unfitted head.
        kinds: Features that it may use: "last", "multilevel", "scales" or "flatten".
        layout: The meaning of each column of the features.
        classes: Number of classes.
        task: The kind of label.
        balanced: Whether to weight classes inversely to their frequency.
        seed: Random seed, also of the folds.
        operating_point: What thresholds are chosen for, see `Task.thresholds`.
    """

    head: Head
    kinds: tuple[str, ...]
    layout: FeatureLayout
    classes: int
    task: Task
    balanced: bool = False
    seed: int = 0
    operating_point: str | None = None

    def fit(
        self,
        features: Features,
        targets: Targets,
        groups: Sequence[str],
        val: ValidationPart | None = None,
    ) -> HeadFit:
        """Fit on features of shape (images, width), with model selection on held-out images.

        Args:
            features: Those of the training part, from which alone the head learns.
            targets: The label of each image, as the task encodes it.
            groups: Group of each image; folds keep groups whole.
            val: The validation part. It decides if it has at least `MIN_VAL_IMAGES` images and
                all classes of the training part, and either is as large as that or contradicts the
                folds; else, the folds do.

        Raises:
            DataError: No class has two images of different groups.
        """
        count = effort_for(len(targets), self.classes).folds
        folds = self.task.folds(targets, groups, folds=count, seed=self.seed)
        on_folds = self.head.fit(self._problem(features, targets, folds), seed=self.seed)
        on_folds = replace(on_folds, folds=folds)
        if val is None or not len(val.targets) or on_folds.held_out is None:
            chosen = replace(on_folds, why=_reason(on_folds, "on held-out folds"))
            return self._calibrated(chosen, targets)
        rows = np.arange(len(targets) + len(val.targets))
        joined = self._problem(
            np.concatenate([features, val.features]),
            np.concatenate([targets, val.targets]),
            [(rows[: len(targets)], rows[len(targets) :])],
        )
        on_val = replace(self.head.fit(joined, seed=self.seed), folds=joined.folds)
        chosen = _decide(on_folds, on_val, self._objection(on_folds, targets, val))
        return self._calibrated(chosen, joined.targets)

    def check_streamable(self, images: int) -> None:
        """Check that the head can be fitted to features that do not fit in memory.

        Raises:
            OptionError: It is not linear, or not on the last layer.
        """
        if not isinstance(self.head, AutoHead | LinearHead) or _STREAMED not in self.kinds:
            raise OptionError(
                f"The features of {images:,} training images do not fit in memory, and only a "
                "linear head on the last layer can be trained without that. Use --head linear "
                "(head='linear') and --features last (features='last'), or raise --head-memory "
                "(head_memory=)."
            )

    def fit_streamed(
        self,
        read: Read,
        targets: Targets,
        groups: Sequence[str],
        *,
        progress: Progress = no_progress,
    ) -> HeadFit:
        """Fit a linear head to features of the last layer that do not fit in memory.

        Args:
            read: Yields some of the images' rows and some columns of their features of all
                layers, (images, columns), in any order.
            targets: The label of each image, as the task encodes it.
            groups: Group of each image; groups are held out as a whole.
            progress: Called with the number of rows that were read, and the total.

        Raises:
            DataError: There are too few groups.
        """
        columns = self.layout.columns(_STREAMED)
        problem = StreamedProblem(
            lambda rows: read(rows, columns),
            *(targets, groups, self.classes, self.task, self.balanced),
            *(self.layout.weights()[columns], _STREAMED),
        )
        fit = fit_streamed(problem, seed=self.seed, progress=progress)
        return self._calibrated(fit, targets)

    def cross_validate(
        self, features: Features, targets: Targets, groups: Sequence[str]
    ) -> HeldOutEstimate | None:
        """Measure the head on held-out folds; see `fit`. None if it holds no images out."""
        fit = self.fit(features, targets, groups)
        if fit.held_out is None:
            return None
        probabilities = self.task.probabilities(fit.held_out.logits, fit.temperature)
        truth = targets[fit.held_out.rows]
        losses = self.task.losses(probabilities, truth)
        correct = self.task.correct(fit.held_out.logits, truth)
        return HeldOutEstimate(float(losses.mean()), float(correct.mean()), len(truth))

    def _calibrated(self, fit: HeadFit, targets: Targets) -> HeadFit:
        """Calibrate on the held-out images that decided: the validation part or the folds."""
        if fit.held_out is None:
            return fit
        scores, truth = fit.held_out.logits, targets[fit.held_out.rows]
        temperature = self.task.temperature(scores, truth)
        probabilities = self.task.probabilities(scores, temperature)
        thresholds = self.task.thresholds(probabilities, truth, self.operating_point)
        return replace(fit, temperature=temperature, thresholds=thresholds, truth=truth)

    def _problem(self, features: Features, targets: Targets, folds: Folds) -> Problem:
        return Problem(
            features,
            {name: self.layout.columns(name) for name in self.kinds},
            targets,
            self.classes,
            folds,
            self.task,
            self.balanced,
            self.layout.weights(),
        )

    def _objection(self, on_folds: HeadFit, train: Targets, val: ValidationPart) -> str:
        """Return why a validation part should not decide, as a clause; "" if it should."""
        trained, images = self.task.present(train), len(val.targets)
        if missing := len(trained - self.task.present(val.targets)):
            return f"the validation part lacks {missing} of {len(trained)} classes"
        if images < MIN_VAL_IMAGES:
            return f"the validation part has only {images} images, and {MIN_VAL_IMAGES} are needed"
        if images < len(train) and not self._contradicts(on_folds, train, val):
            return "the validation part agrees with them, and has fewer images"
        return ""

    def _contradicts(self, on_folds: HeadFit, train: Targets, val: ValidationPart) -> bool:
        """Return whether the loss on the validation part differs from that on folds, not by chance.

        It does if the folds tear series apart, or if the parts contain different kinds of images.
        """
        known = on_folds.held_out
        assert known is not None
        columns = self.layout.columns(on_folds.features)
        scores = on_folds.head.logits(val.features[:, columns])
        temperature = self.task.temperature(known.logits, train[known.rows])
        first, second = (
            self.task.losses(self.task.probabilities(logits, temperature), truth)
            for logits, truth in ((known.logits, train[known.rows]), (scores, val.targets))
        )
        error = np.sqrt(first.var() / len(first) + second.var() / len(second))
        return bool(abs(second.mean() - first.mean()) > _CONTRADICTION * error)

    def with_linear_head(self) -> Self:
        """Return the same choice for a linear head."""
        return replace(self, head=LinearHead())

    def with_fixed_choice(self, fit: HeadFit) -> Self:
        """Return the same choice, fixed to the features, hyperparameters and shares of a fit.

        For tuned features: they were trained on the labels, so no fold of them is held out.
        """
        head = FixedHead(fit.members) if fit.members else self.head
        kinds = tuple(dict.fromkeys(member.features for member in fit.members))
        return replace(self, head=head, kinds=kinds or (fit.features,))


def _decide(on_folds: HeadFit, on_val: HeadFit, objection: str) -> HeadFit:
    """Return the fit of the deciding images, with the estimates on both kinds of images."""
    if objection:
        why = _reason(on_folds, "on held-out folds")
        why = f"{why}; {objection}" if why else ""
        rows = _both(on_folds.candidates, on_folds, on_val)
        return replace(on_folds, candidates=rows, why=why)
    rows = _both(on_val.candidates, on_folds, on_val)
    why = _reason(on_val, "on the validation part")
    return replace(on_val, candidates=rows, chosen_on="val", why=why)


def _both(order: Sequence[Candidate], on_folds: HeadFit, on_val: HeadFit) -> tuple[Candidate, ...]:
    """Return the candidates in a given order, each with both of its estimates.

    Where only one of the fits is an average, it is paired with the head that the other one chose.
    """
    folds = {(row.features, row.head): row for row in on_folds.candidates}
    val = {(row.features, row.head): row for row in on_val.candidates}
    return tuple(
        replace(
            folds.get((row.features, row.head), on_folds.candidates[0]),
            head=row.head,
            features=row.features,
            share=row.share,
            val=_estimate(val.get((row.features, row.head), on_val.candidates[0])),
        )
        for row in order
    )


def _estimate(row: Candidate) -> HeldOutEstimate:
    return HeldOutEstimate(row.log_loss, row.accuracy, row.images)


def _reason(fit: HeadFit, images: str) -> str:
    """Return by what the first candidate was chosen; "" if nothing was compared."""
    if not fit.candidates:
        return ""
    if len(fit.members) > 1:
        return f"the average, weighted by log loss {images}"
    if fit.members:
        return f"lowest log loss {images}"
    return f"highest accuracy {images}" if len(fit.candidates) > 1 else ""
