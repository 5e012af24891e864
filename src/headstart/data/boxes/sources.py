"""Make a source of images with boxes: boxes placed in their images, and what was found said."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from headstart.data.boxes.annotations import BoxedImage, BoxSet
from headstart.data.boxes.doubts import ROUNDING, doubts_about_place, doubts_about_size
from headstart.data.boxes.geometry import place_boxes
from headstart.data.boxes.labels import all_labels, with_names, writable, write_boxes
from headstart.data.boxes.tally import Tally
from headstart.data.folders import name_problem
from headstart.data.labels import normalised
from headstart.data.listing import Source
from headstart.data.manifest import Entry
from headstart.data.paths import list_names
from headstart.errors import DataError


def box_source(name: str, found: BoxSet) -> Source:
    """Return the source of images with boxes.

    Args:
        name: The name of the data.
        found: What a reader returned.

    Raises:
        DataError: None of the images exist, no usable image has a box, or most boxes are in an
            unknown unit.
    """
    _check_some_exist(found)
    images, understood = _in_pixels(list(map(_with_printable_name, found.images)))
    doubts = list(doubts_about_size(images))
    tally = Tally()
    placed = place_boxes(images, tally)
    doubts += doubts_about_place(images, found, tally)
    warnings = (*found.warnings, *tally.sentences(), *doubts)
    usable = [image for image in placed if not image.rejected]
    if usable and not any(image.boxes for image in usable):
        found_what = " ".join(warnings)
        raise DataError(
            f"No image of '{name}' has a box; they were looked for in {found.where}."
            f"{' ' if found_what else ''}{found_what}"
        )
    return Source(
        *(name, list(map(_entry, placed)), (*found.understood, *understood), warnings),
        guessed_group=found.guessed_group,
        boxes=found.where,
    )


def without_unknown_labels(source: Source, known: Collection[str]) -> Source:
    """Write labels as a trained model does, and leave out boxes of labels that it does not have.

    Raises:
        DataError: It has none of the labels.
    """
    written = {normalised(name): name for name in known}
    found = all_labels(entry.label for entry in source.entries if entry.label)
    unknown = sorted(found - set(written))
    if unknown and len(unknown) == len(found):
        raise DataError(
            f"The model has none of the labels of these boxes: {list_names(unknown)}. Its labels "
            f"are {list_names(sorted(known))}. Rename them."
        )
    entries = [
        replace(entry, label=with_names(entry.label, written)) if entry.label else entry
        for entry in source.entries
    ]
    if not unknown:
        return replace(source, entries=entries)
    sentence = f"Boxes of labels that the model does not have, not used: {list_names(unknown)}."
    return replace(source, entries=entries, warnings=(*source.warnings, sentence))


def _check_some_exist(found: BoxSet) -> None:
    missing = [image for image in found.images if _is_missing(image)]
    if found.images and len(missing) == len(found.images):
        raise DataError(
            f"None of the images of {found.where} exist. The first was looked for as "
            f"'{missing[0].path}'. Put the images there."
        )


def _with_printable_name(image: BoxedImage) -> BoxedImage:
    problem = name_problem(f"{image.image}{image.path}")
    if problem is None:
        return image
    name, path = writable(image.image), writable(image.path)
    return BoxedImage(name, path, split=image.split, rejected=problem)


def _is_missing(image: BoxedImage) -> bool:
    return (image.rejected or "").endswith("does not exist")


def _in_pixels(images: Sequence[BoxedImage]) -> tuple[list[BoxedImage], tuple[str, ...]]:
    """Notice coordinates that are shares of the image, as all are between 0 and 1."""
    values = [
        value for one in images if not one.in_shares for box in one.boxes for value in box.corners
    ]
    finite = [value for value in values if value == value]
    if not finite or min(finite) < -ROUNDING or max(finite) > 1 + ROUNDING:
        return list(images), ()
    sentence = (
        "All coordinates are between 0 and 1, so they are shares of the image's width and height."
    )
    return [replace(image, in_shares=True) for image in images], (sentence,)


def _entry(image: BoxedImage) -> Entry:
    return Entry(
        image.image,
        image.path,
        write_boxes(image.boxes),
        image.split,
        image.group,
        image.rejected,
        image.slices,
        image.guessed_group,
    )
