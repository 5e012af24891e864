"""What is said about tiles: whether a detector cuts images into them, and whether it should."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from headstart.answers import BoxesPrediction
from headstart.options import PredictOptions
from headstart.predictor.detector import Detector
from headstart.predictor.predictor import AnyResult
from headstart.tasks.loading import AnyModel

# Images so many times as large as the input show small objects with few pixels.
_LARGE = 4
_SUGGESTED = 640


@dataclass
class Tiling:
    """Counts the large images in which a detector finds nothing.

    Attributes:
        side: The side of the input, in pixels; 0 if it does not matter, as images are cut into
            tiles or the model is not a detector.
        note: Called with sentences.
        empty: The number of large images without boxes, so far.
    """

    side: int
    note: Callable[[str], None]
    empty: int = 0

    @classmethod
    def of(cls, model: AnyModel, options: PredictOptions, note: Callable[[str], None]) -> Tiling:
        """Return it for a model, and say if the model cuts images because of its training."""
        if not isinstance(model, Detector):
            return cls(0, note)
        if options.tiles is None and model.tiles:
            note(
                f"Images of more than {model.tiles:,} pixels on a side are cut into tiles of "
                f"{model.tiles:,} x {model.tiles:,}, as in the training of this detector."
            )
        return cls(0 if options.tiles or model.tiles else model.preprocess.size, note)

    def watched(self, results: Iterable[AnyResult]) -> Iterator[AnyResult]:
        """Yield predictions, and count those of large images without boxes."""
        for result in results:
            if self.side and isinstance(result, BoxesPrediction) and not result.boxes:
                self.empty += max(result.size) >= _LARGE * self.side
            yield result

    def advise(self) -> None:
        """Say what to do about the images that were counted."""
        if not self.empty:
            return
        images = "1 image is" if self.empty == 1 else f"{self.empty:,} images are"
        self.note(
            f"{images} much larger than the {self.side:,} x {self.side:,} pixels that the detector "
            f"sees, and no box is found in {'it' if self.empty == 1 else 'them'}. If the objects "
            f"are small, add --tiles, such as --tiles {_SUGGESTED}."
        )
