"""The plot of the map of features: a mark per image, with the colour and shape of its class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headstart.report.test_images import MapPoint

COLOURS = 8
"""The number of colours, which the style sheet calls --k0, --k1 and so on."""

_SIDE = 1000.0
_MARGIN = 24.0
_RADII = ((300, 9.0, 13.0), (1000, 6.5, 9.5))
"""The radius of a mark without and with a picture, for up to so many images."""

_SMALLEST = 5.5, 8.0


@dataclass(frozen=True)
class Mark:
    """An image with a picture: its mark as an SVG path."""

    path: str
    wrong: bool
    shot: int


@dataclass(frozen=True)
class MapClass:
    """The images of a class on the map.

    Attributes:
        number: The number of the class.
        name: Its name.
        images: The number of images on the map.
        colour: The number of its colour.
        sample: Its mark in the legend, around (0, 0), as an SVG path.
        right: The marks of images that are predicted correctly and have no picture.
        wrong: The marks of other images without a picture.
        pictured: The images that have a picture.
    """

    number: int
    name: str
    images: int
    colour: int
    sample: str
    right: str
    wrong: str
    pictured: tuple[Mark, ...]


@dataclass(frozen=True)
class FeaturePlot:
    """The plot of the map, 1,000 wide.

    Attributes:
        classes: The classes with images on the map, in their order.
        images: The number of images on the map.
        wrong: The number of them that are predicted incorrectly.
        pictured: The number of them that have a picture.
        height: The height of the plot.
    """

    classes: tuple[MapClass, ...]
    images: int
    wrong: int
    pictured: int
    height: int


def plot_features(points: Sequence[MapPoint], classes: Sequence[str]) -> FeaturePlot | None:
    """Plot the images of a map; None without any."""
    if not points:
        return None
    place, height = _scale(points)
    radii = next((radii for most, *radii in _RADII if len(points) <= most), _SMALLEST)
    shown = [
        _class(number, name, [point for point in points if point.truth == number], place, radii)
        for number, name in enumerate(classes)
    ]
    return FeaturePlot(
        tuple(one for one in shown if one.images),
        len(points),
        sum(point.truth != point.predicted for point in points),
        sum(point.shot is not None for point in points),
        height,
    )


_Place = Callable[[MapPoint], str]


def _class(
    number: int, name: str, points: Sequence[MapPoint], place: _Place, radii: Sequence[float]
) -> MapClass:
    """Draw the images of a class."""
    shape = _SHAPES[number % len(_SHAPES)]
    small, large = map(shape, radii)
    bare = [point for point in points if point.shot is None]
    right, wrong = (
        "".join(place(point) + small for point in bare if (point.truth == point.predicted) is hit)
        for hit in (True, False)
    )
    pictured = tuple(
        Mark(place(point) + large, point.truth != point.predicted, point.shot)
        for point in points
        if point.shot is not None
    )
    return MapClass(
        *(number, name, len(points), number % COLOURS, "M0 0" + shape(10), right, wrong, pictured)
    )


def _scale(points: Sequence[MapPoint]) -> tuple[_Place, int]:
    """Return where points are on the plot, in the same scale both ways, and its height."""
    xs, ys = [point.x for point in points], [point.y for point in points]
    left, top = min(xs), max(ys)
    width, height = max(xs) - left, top - min(ys)
    scale = (_SIDE - 2 * _MARGIN) / (max(width, height) or 1.0)
    shift = _MARGIN + (_SIDE - 2 * _MARGIN - scale * width) / 2

    def place(point: MapPoint) -> str:
        return f"M{shift + scale * (point.x - left):.0f} {_MARGIN + scale * (top - point.y):.0f}"

    return place, round(scale * height + 2 * _MARGIN)


def _circle(r: float) -> str:
    return f"m{-r:g} 0a{r:g} {r:g} 0 1 0 {2 * r:g} 0a{r:g} {r:g} 0 1 0 {-2 * r:g} 0z"


def _square(r: float) -> str:
    s = 0.9 * r
    return f"m{-s:.3g} {-s:.3g}h{2 * s:.3g}v{2 * s:.3g}h{-2 * s:.3g}z"


def _triangle(r: float) -> str:
    return f"m0 {-1.25 * r:.3g}l{1.2 * r:.3g} {2 * r:.3g}h{-2.4 * r:.3g}z"


def _diamond(r: float) -> str:
    a, b = 1.1 * r, 1.3 * r
    return f"m0 {-b:.3g}l{a:.3g} {b:.3g}l{-a:.3g} {b:.3g}l{-a:.3g} {-b:.3g}z"


def _wedge(r: float) -> str:
    return f"m0 {1.25 * r:.3g}l{-1.2 * r:.3g} {-2 * r:.3g}h{2.4 * r:.3g}z"


_SHAPES = (_circle, _square, _triangle, _diamond, _wedge)
