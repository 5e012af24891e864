"""Labels that may be wrong, and what they mean for the results of a run."""

from dataclasses import dataclass

from headstart.record.data_check import LabelError


@dataclass(frozen=True)
class LabelAudit:
    """The labels that a model doubts, and its results with and without them.

    Attributes:
        part: The part that was evaluated: "test" or "validation".
        images: The number of its images.
        suspects: Its images whose label is probably wrong, most suspect first.
        given: The main metric of all images, in words, such as "87.8% correct".
        without: The same without the suspects; "" if nothing would be left to measure.
        train: The suspects among the training images.
    """

    part: str
    images: int
    suspects: tuple[LabelError, ...]
    given: str
    without: str
    train: tuple[LabelError, ...]

    @property
    def message(self) -> str:
        """What was found, in sentences; "" if nothing was."""
        if not self.suspects and not self.train:
            return ""
        count = len({one.image for one in self.suspects})
        train = len({one.image for one in self.train})
        trained = f" So may those of {train:,} training images." if train else ""
        if not count:
            return f"The labels of {train:,} training images may be wrong; metrics.json lists them."
        without = (
            f"As labelled: {self.given}. Without them: {self.without}, which is optimistic, "
            "because the model itself chose what to set aside."
            if self.without
            else f"As labelled: {self.given}."
        )
        return (
            f"The labels of {count:,} of {self.images:,} {self.part} images may be wrong.{trained} "
            f"metrics.json lists them. {without}"
        )
