"""What files and pictures show without a network: shortcuts, unusual images, constant regions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from headstart.arrays import Flags, Floats
from headstart.data.constant import Steadiness
from headstart.data.contract import PixelContract
from headstart.data.decoding import FileFormat
from headstart.data.images import ImageSet
from headstart.data.oddities import find_oddities
from headstart.data.traits import GRID, Traits, read_formats, read_traits
from headstart.errors import DataError
from headstart.evaluation.shortcuts import ShortcutFit, measure_shortcuts
from headstart.record.data_check import Oddity, Shortcut, ShortcutClass
from headstart.watching import Progress

_FOLDS = 5
# Traits of a file say nothing about what an image shows, colours may: (AUROC, its lower bound).
_LIMITS = {"file": (0.8, 0.75), "picture": (0.95, 0.9)}


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
        oddities: Unusual images.
        constant: Descriptions of regions that look the same in all images.
        shortcuts: Traits that distinguish classes.
    """

    oddities: tuple[Oddity, ...]
    constant: tuple[str, ...]
    shortcuts: tuple[Shortcut, ...]


def inspect_images(images: ImageSet, contract: PixelContract, progress: Progress) -> Inspection:
    """Decode each image once, small, and look for all of it.

    Memory does not grow with the images, except for a few numbers of each; a class takes 37 kB.
    """
    present = _presence(images)
    steadiness = Steadiness(len(images.classes), GRID)
    traits: list[Traits | None] = []
    for row, found in enumerate(read_traits(images.paths, contract)):
        traits.append(found[0] if found else None)
        if found:
            steadiness.add(found[1].astype(np.float64), np.flatnonzero(present[row]).tolist())
        progress(row + 1, len(images))
    read = np.array([row for row, one in enumerate(traits) if one is not None], dtype=np.int64)
    known = [one for one in traits if one is not None]
    rest = images.take(read)
    files = _file_traits(rest, [one.file for one in known])
    return Inspection(
        find_oddities(images, traits),
        tuple(_constant(images, steadiness)),
        (*_shortcuts(rest, files, "file"), *_shortcuts(rest, _picture_traits(known), "picture")),
    )


def find_file_shortcuts(images: ImageSet) -> tuple[Shortcut, ...]:
    """Return the traits of files that distinguish classes; nothing is decoded."""
    return tuple(_shortcuts(images, _file_traits(images, list(read_formats(images.paths))), "file"))


def _file_traits(images: ImageSet, formats: Sequence[FileFormat]) -> Mapping[str, Floats]:
    sizes = [images.table[name].to_pylist() for name in ("width", "height")]
    return {
        "the file format": _categories([one.name for one in formats]),
        "the image size": np.array(sizes, dtype=np.float32).T,
        "JPEG compression": np.array([[one.compression] for one in formats], dtype=np.float32),
        "the camera": _categories([one.camera for one in formats]),
        "the colour mode": _categories(images.table["mode"].to_pylist()),
    }


def _picture_traits(traits: Sequence[Traits]) -> Mapping[str, Floats]:
    def columns(*values: Sequence[float]) -> Floats:
        return np.nan_to_num(np.array(values, dtype=np.float32).T, nan=-1.0)

    return {
        "a border": columns([one.border for one in traits]),
        "brightness": columns([one.brightness for one in traits], [one.contrast for one in traits]),
        "mean colour": np.array([one.colour for one in traits], dtype=np.float32),
        "sharpness": columns([one.blur for one in traits]),
    }


def _categories(values: Sequence[str]) -> Floats:
    numbers = np.unique(np.array(values, dtype=object).astype(str), return_inverse=True)[1]
    return np.asarray(numbers, dtype=np.float32).reshape(-1, 1)


def _presence(images: ImageSet) -> Flags:
    """Return whether each image belongs to each class, (images, classes)."""
    return np.asarray(images.task.encode(images.labels, len(images.classes)).numpy() == 1)


def _shortcuts(
    images: ImageSet, traits: Mapping[str, Floats], of: Literal["file", "picture"]
) -> list[Shortcut]:
    try:
        folds = images.folds(_FOLDS, seed=0)
    except DataError:  # There are too few images to hold some out.
        return []
    exclusive = images.task.activation == "softmax"
    present = _presence(images)
    baseline = float(present.mean(axis=0).max()) if exclusive else None
    fits = measure_shortcuts(traits, present, folds, exclusive=exclusive)
    found = [_shortcut(fit, of, baseline, images.classes) for fit in fits]
    return [one for one in found if one.classes]


def _shortcut(
    fit: ShortcutFit,
    of: Literal["file", "picture"],
    baseline: float | None,
    classes: Sequence[str],
) -> Shortcut:
    least, lower = _LIMITS[of]
    distinct = [
        ShortcutClass(classes[number], auroc, interval)
        for number, (auroc, interval) in fit.aurocs.items()
        if auroc >= least and interval[0] >= lower
    ]
    ranked = tuple(sorted(distinct, key=lambda one: -one.auroc))
    return Shortcut(fit.trait, of, fit.accuracy, baseline, ranked)


def _constant(images: ImageSet, steadiness: Steadiness) -> list[str]:
    sentences = []
    for number, share, place in steadiness.regions():
        whose = "nearly all images"
        whose += "" if number is None else f" of '{images.classes[number]}'"
        sentences.append(
            f"{share:.1%} of the picture, at the {place}, looks the same in {whose}: perhaps a "
            "logo, a date or a frame."
        )
    return sentences
