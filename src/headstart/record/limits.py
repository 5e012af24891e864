"""What a model knows about its own limits, measured on images that it was not trained on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from headstart.record.estimates import Interval


@dataclass(frozen=True)
class SetResult:
    """Conformal prediction sets of one kind.

    Attributes:
        method: "lac" or "aps".
        coverage: How often the sets should contain the true label.
        measured: How often they do.
        measured_ci95: Wilson interval of that.
        mean_size: The mean number of labels in a set.
    """

    method: str
    coverage: float
    measured: float
    measured_ci95: Interval
    mean_size: float


@dataclass(frozen=True)
class AbstentionResult:
    """What happens if the model answers only where it is confident.

    Attributes:
        max_error: The largest share of wrong answers that was asked for.
        confidence: The smallest probability of the predicted class with which it answers, chosen on
            held-out images.
        answered: The share of images that it answers.
        error: The share of these that are wrong; None if it answers none.
        error_ci95: Wilson interval of that.
    """

    max_error: float
    confidence: float
    answered: float
    error: float | None
    error_ci95: Interval | None


@dataclass(frozen=True)
class LimitsResult:
    """The limits of a model, measured.

    Attributes:
        images: The number of images.
        unknown: The share of them that is called unknown; None if the model cannot tell.
        unknown_ci95: Wilson interval of that.
        false_alarms: The share that was aimed at for images like the training images.
        sets: Prediction sets; empty without held-out predictions, as with several labels per image.
        abstention: Abstention for several shares of errors, of those that held-out images support.
    """

    images: int
    unknown: float | None
    unknown_ci95: Interval | None
    false_alarms: float
    sets: tuple[SetResult, ...] = ()
    abstention: tuple[AbstentionResult, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """The results in words."""
        return tuple(self._sentences())

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        return {
            "images": self.images,
            "unknown": self.unknown,
            "unknown_ci95": list(self.unknown_ci95) if self.unknown_ci95 else None,
            "false_alarms": self.false_alarms,
            "sets": [
                {**vars(result), "measured_ci95": list(result.measured_ci95)}
                for result in self.sets
            ],
            "abstention": [
                {**vars(one), "error_ci95": list(one.error_ci95) if one.error_ci95 else None}
                for one in self.abstention
            ],
        }

    def _sentences(self) -> Iterator[str]:
        if self.sets:
            first = self.sets[0]
            low, high = first.measured_ci95
            yield (
                f"Prediction sets for {first.coverage:.0%} contain the true label of "
                f"{first.measured:.1%} of these images (95% interval {low:.1%} to {high:.1%}), "
                f"with {first.mean_size:.2f} labels on average."
            )
        answered = [(one, one.error) for one in self.abstention if one.error is not None]
        if answered:
            yield (
                f"To be wrong on at most {_listed(one.max_error for one, _ in answered)} of its "
                f"answers, the model answers {_listed(one.answered for one, _ in answered)} of "
                f"them, and is wrong on {_listed((error for _, error in answered), digits=1)}."
            )
        if self.unknown is not None:
            yield (
                f"{self.unknown:.1%} of them are called unknown; of images like the training "
                f"images, about {self.false_alarms:.0%} are."
            )


def _listed(shares: Iterable[float], *, digits: int = 0) -> str:
    """Return percentages as a list in words, such as "5%, 2% and 1%"."""
    texts = [f"{share:.{digits}%}" for share in shares]
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))
