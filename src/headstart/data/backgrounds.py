"""The background on which the transparent images of a data set are visible, and what to say of it.

A white drawing on transparent pixels is one colour on white. So that all images are treated alike,
the background is chosen once per data set, and kept in the trained model.
"""

from collections.abc import Iterator, Sequence

from headstart.data.contract import LEVELS, Background
from headstart.data.paths import list_names


def best_background(blank_on: Sequence[str | None]) -> Background:
    """Return the background on which the fewest images are one colour, white if there are several.

    Args:
        blank_on: The backgrounds on which each image is one colour, separated by spaces.
    """
    return min(LEVELS, key=lambda background: len(_blank(blank_on, background)))


def background_warnings(names: Sequence[str], blank_on: Sequence[str | None]) -> Iterator[str]:
    """Yield a sentence if transparent pixels do not become white, and one if images stay blank.

    Args:
        names: The name of each training image.
        blank_on: See `best_background`.
    """
    chosen = best_background(blank_on)
    if chosen != "white":
        images = [names[row] for row in _blank(blank_on, "white")]
        yield (
            f"Transparent pixels become {chosen} instead of white, on which {_count(images)} one "
            f"colour: {list_names(images)}."
        )
    if images := [names[row] for row in _blank(blank_on, chosen)]:
        yield (
            f"Transparent pixels become {chosen}, on which {_count(images)} one colour: "
            f"{list_names(images)}. No other background shows more images. Draw "
            f"{'this one' if len(images) == 1 else 'them'} on an opaque background."
        )


def _blank(blank_on: Sequence[str | None], background: Background) -> list[int]:
    return [row for row, found in enumerate(blank_on) if background in (found or "").split()]


def _count(images: Sequence[str]) -> str:
    return "1 training image is" if len(images) == 1 else f"{len(images):,} training images are"
