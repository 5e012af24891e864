"""The pictures behind the cells of a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headstart.report.test_images import Shot


@dataclass(frozen=True)
class CellPicture:
    """A picture and its number on the page."""

    number: int
    shot: Shot


@dataclass(frozen=True)
class CellPictures:
    """The pictures of the images of class `truth` that were predicted as `predicted`.

    Attributes:
        truth: The number of the true class.
        predicted: The number of the predicted class.
        pictures: The pictures, the most confident prediction first.
    """

    truth: int
    predicted: int
    pictures: tuple[CellPicture, ...]

    @property
    def id(self) -> str:
        """The name of the cell on the page."""
        return f"cell-{self.truth}-{self.predicted}"


def pictures_by_cell(shots: Sequence[Shot]) -> dict[tuple[int, int], CellPictures]:
    """Return the pictures of each cell that has some, by true and predicted class."""
    cells: dict[tuple[int, int], list[CellPicture]] = {}
    for number, shot in enumerate(shots):
        cells.setdefault((shot.truth, shot.predicted), []).append(CellPicture(number, shot))
    return {
        cell: CellPictures(*cell, tuple(sorted(pictures, key=lambda one: -one.shot.probability)))
        for cell, pictures in sorted(cells.items())
    }
