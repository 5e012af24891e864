"""What a model knows about its own limits, and what it says about a prediction beyond the label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from headstart.answers import AnyTaskPrediction, MultiPrediction, Thresholds
from headstart.arrays import Anything, Features, Floats, Probabilities
from headstart.errors import OptionError
from headstart.evaluation.abstention import Abstention, abstain_for, lowest_error
from headstart.evaluation.calibration_set import CalibrationSet
from headstart.evaluation.conformal import SetRule
from headstart.evaluation.known_images import KnownImages
from headstart.options import AnswerOptions

_CALIBRATION, _KNOWN, _TRAITS = "calibration.", "known.", "traits"
_EXAMPLES = "examples."


@dataclass(frozen=True, eq=False)
class Limits:
    """What a model keeps of its training to know its limits.

    Attributes:
        calibration: Predictions for training images by models that were not fitted on them; None
            with several labels per image, for boxes, and in bundles of earlier versions.
        known: The training images as points; None if there were too few, and in bundles of earlier
            versions.
        traits: The traits of some training images, (images, traits), see `data.traits.NAMES`; None
            in bundles of earlier versions.
        examples: Small pictures (JPEG) of some training images, by the hash of their file.
    """

    calibration: CalibrationSet | None = None
    known: KnownImages | None = None
    traits: Floats | None = None
    examples: Mapping[str, bytes] = field(default_factory=dict)

    def to_arrays(self) -> dict[str, Anything]:
        """Return the values as arrays by name."""
        parts = ((_CALIBRATION, self.calibration), (_KNOWN, self.known))
        arrays = {
            prefix + name: value
            for prefix, part in parts
            if part is not None
            for name, value in part.to_arrays().items()
        }
        arrays |= {
            _EXAMPLES + name: np.frombuffer(picture, dtype=np.uint8)
            for name, picture in self.examples.items()
        }
        return arrays if self.traits is None else {**arrays, _TRAITS: self.traits}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Anything]) -> Self:
        """Create the same from the result of `to_arrays`, or from nothing."""
        calibration, known = (_below(prefix, arrays) for prefix in (_CALIBRATION, _KNOWN))
        return cls(
            CalibrationSet.from_arrays(calibration) if calibration else None,
            KnownImages.from_arrays(known) if known else None,
            arrays[_TRAITS].astype(np.float32) if _TRAITS in arrays else None,
            {name: value.tobytes() for name, value in _below(_EXAMPLES, arrays).items()},
        )

    @property
    def kept(self) -> str:
        """What is kept of the training images, as a sentence; "" if nothing is."""
        parts = "; ".join(self._kept())
        return f"To know its limits, the model keeps: {parts}." if parts else ""

    def _kept(self) -> Iterator[str]:
        if self.known is not None:
            images, dimensions = self.known.points.shape
            yield (
                f"of {images:,} training images {dimensions} numbers that are computed from the "
                "features, the label and the hash of the file"
            )
        if self.calibration is not None:
            yield f"the probabilities and labels of {len(self.calibration):,} held-out predictions"
        if self.traits is not None and len(self.traits):
            yield f"six statistics of {len(self.traits):,} training images"
        if self.examples:
            yield f"small pictures of {len(self.examples):,} training images"

    def rules(self, options: AnswerOptions, thresholds: Thresholds | None = None) -> AnswerRules:
        """Return what to say about predictions.

        Args:
            options: What was asked for.
            thresholds: The operating point of the model.

        Raises:
            OptionError: The model has no calibration set, its held-out predictions do not support
                so few errors, or its labels are not the most probable ones.
        """
        coverage, max_error = options.coverage, options.max_error
        if max_error and thresholds:
            raise OptionError(
                f"This model has an operating point, {thresholds.purpose}: its label is not always "
                "the most probable one, which max_error assumes. Omit max_error."
            )
        return AnswerRules(
            self.known,
            SetRule.of(self._held_out(), coverage, options.set_method) if coverage else None,
            self._abstention(max_error) if max_error else None,
        )

    def _abstention(self, max_error: float) -> Abstention:
        calibration = self._held_out()
        found = abstain_for(calibration, max_error)
        if found is None:
            lowest = lowest_error(calibration)
            advice = f" They support max_error {lowest:g}." if lowest else ""
            raise OptionError(
                f"{len(calibration):,} held-out predictions do not support that at most "
                f"{max_error:.2%} of the answers are wrong, at any confidence.{advice}"
            )
        return found

    def _held_out(self) -> CalibrationSet:
        if self.calibration is None:
            raise OptionError(
                "This model keeps no held-out predictions, which prediction sets and max_error "
                "need: it has several labels per image or an added class, or was trained without "
                "held-out images or by an earlier version."
            )
        return self.calibration


@dataclass(frozen=True, eq=False)
class AnswerRules:
    """What to say about predictions beyond their labels.

    Attributes:
        known: The training images; None if nothing is called unknown.
        sets: Which labels are in a prediction set; None for no sets.
        abstention: When the model does not answer; None if it always does.
    """

    known: KnownImages | None = None
    sets: SetRule | None = None
    abstention: Abstention | None = None

    def remarks(self, features: Features, probabilities: Probabilities) -> Iterator[Remarks]:
        """Yield the remarks on each image.

        Args:
            features: Features of all stages, rounded as stored, (images, width).
            probabilities: Calibrated probabilities, (images, classes).
        """
        unknown = self.known.unknown(features) if self.known else [None] * len(features)
        sets = self.sets.sets(probabilities) if self.sets else [None] * len(features)
        for flag, members, row in zip(unknown, sets, probabilities, strict=True):
            yield Remarks(
                None if flag is None else bool(flag),
                None if members is None else tuple(members.nonzero()[0].tolist()),
                self._abstained(row),
            )

    def _abstained(self, probabilities: Probabilities) -> bool | None:
        return None if self.abstention is None else not self.abstention.answers(probabilities)


@dataclass(frozen=True)
class Remarks:
    """What is said about one prediction.

    Attributes:
        unknown: Whether the image is unlike all training images; None if that is not known.
        members: The numbers of the classes in the prediction set; None without sets.
        abstained: Whether the model is not confident enough to answer; None if it always answers.
    """

    unknown: bool | None
    members: tuple[int, ...] | None
    abstained: bool | None

    def on(self, prediction: AnyTaskPrediction, classes: Sequence[str]) -> AnyTaskPrediction:
        """Return a prediction with these remarks."""
        if isinstance(prediction, MultiPrediction):
            return replace(prediction, unknown=self.unknown)
        by_probability = sorted(self.members or (), key=lambda c: -prediction.probabilities[c])
        return replace(
            prediction,
            unknown=self.unknown,
            abstained=self.abstained,
            prediction_set=None
            if self.members is None
            else tuple(classes[number] for number in by_probability),
        )


def _below(prefix: str, arrays: Mapping[str, Anything]) -> dict[str, Anything]:
    return {
        name.removeprefix(prefix): value
        for name, value in arrays.items()
        if name.startswith(prefix)
    }
