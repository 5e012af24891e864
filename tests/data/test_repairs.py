"""JPEG files that lack their end."""

import re

import numpy as np
import pytest
from PIL import Image

from headstart.data.decoding import decode, load_image
from headstart.data.repairs import LARGEST_MISSING_SHARE
from headstart.errors import UnreadableImage
from tests.conftest import picture
from tests.data.files import encoded

PICTURE = picture(3, side=512)
KINDS = {
    "baseline": {},
    "all colours": {"subsampling": 0},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 3},
    "rows of restarts": {"restart_marker_rows": 1},
}


def jpeg(kind: str, image: Image.Image = PICTURE) -> bytes:
    """Return an image as a JPEG of some kind."""
    return encoded(image, "JPEG", quality=90, **KINDS[kind])


@pytest.mark.parametrize("min_side", [None, 20])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [1, 2])
def test_without_its_end_marker_every_pixel_is_read(
    cut: int, kind: str, min_side: int | None
) -> None:
    """The pixels are those of the whole file, at any scale, and the repair is named."""
    whole = jpeg(kind)
    loaded = load_image(whole[:-cut], min_side=min_side)
    assert loaded.repair == "the end of the file was missing"
    assert np.array_equal(decode(whole[:-cut], min_side=min_side), decode(whole, min_side=min_side))


@pytest.mark.parametrize("kind", KINDS)
def test_without_its_last_bytes_all_but_the_last_blocks_are_read(kind: str) -> None:
    """Nothing above the last row of blocks changes."""
    whole = jpeg(kind)
    pixels = decode(whole[:-12])
    assert np.array_equal(pixels[:-17], decode(whole)[:-17])
    assert load_image(whole[:-12]).repair


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9])
def test_without_many_pixels_it_is_refused(kind: str, share: float) -> None:
    """The missing part is not filled with grey."""
    whole = jpeg(kind)
    with pytest.raises(UnreadableImage, match="it is damaged \\(image file is truncated"):
        decode(whole[: round(len(whole) * (1 - share))])


@pytest.mark.parametrize("kind", ["baseline", "restarts"])
def test_the_line_is_drawn_by_the_pixels_that_are_missing(kind: str) -> None:
    """The first length that is refused lacks the largest share, to half a row of blocks."""
    whole = jpeg(kind)
    full = decode(whole)
    lengths = range(len(whole) - 2, 0, -len(whole) // 200)
    for length in lengths:
        try:
            pixels = decode(whole[:length])
        except UnreadableImage:
            break
        wrong = (pixels != full).any(axis=2)
        assert wrong.mean() <= LARGEST_MISSING_SHARE + 0.001
    assert lengths[1] > length > 0.95 * len(whole)


def test_without_a_scan_it_is_refused() -> None:
    """A progressive file that ends before its last scan lacks detail everywhere."""
    whole = jpeg("progressive")
    scans = [found.start() for found in re.finditer(b"\xff\xda", whole)]
    assert len(scans) > 5
    for scan in scans[1:]:
        with pytest.raises(UnreadableImage):
            decode(whole[:scan])


def test_a_grey_end_counts_as_it_is() -> None:
    """An image that ends in the colour that missing pixels get is whole without its marker."""
    image = PICTURE.copy()
    image.paste((128, 128, 128), (0, 256, 512, 512))
    whole = jpeg("baseline", image)
    assert np.array_equal(decode(whole[:-2]), decode(whole))
    with pytest.raises(UnreadableImage):
        decode(whole[: len(whole) // 2])


def test_a_whole_file_is_not_repaired() -> None:
    """Nothing is said about it."""
    assert load_image(jpeg("baseline")).repair is None


def test_a_small_file_may_lack_no_block() -> None:
    """One block is more than the largest share of a small image."""
    whole = jpeg("baseline", PICTURE.resize((48, 48)))
    assert load_image(whole[:-2]).repair
    with pytest.raises(UnreadableImage):
        decode(whole[:-12])


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "TIFF"])
def test_other_formats_are_not_repaired(kind: str) -> None:
    """A file of another format that lacks its last pixels is refused."""
    data = encoded(PICTURE, kind)
    with pytest.raises(UnreadableImage):
        decode(data[: round(len(data) * 0.99)])


@pytest.mark.parametrize("min_side", [None, 20])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_a_progressive_file_that_was_cut_and_given_an_end_is_refused(
    share: float, min_side: int | None
) -> None:
    """Some programs add the marker to whatever they have received."""
    whole = jpeg("progressive")
    with pytest.raises(UnreadableImage, match="the pixels at its end are missing"):
        decode(whole[: round(len(whole) * share)] + b"\xff\xd9", min_side=min_side)


def test_a_progressive_file_that_lacks_a_bit_of_detail_is_read() -> None:
    """Its last scan only refines pixels."""
    whole = jpeg("progressive")
    cut = whole[: round(len(whole) * 0.9)] + b"\xff\xd9"
    assert np.abs(decode(cut).astype(int) - decode(whole)).mean() < 1


def test_a_progressive_file_may_leave_out_scans() -> None:
    """As for a preview: what it has is whole, though less sharp."""
    whole = jpeg("progressive")
    scans = [found.start() for found in re.finditer(b"\xff\xda", whole)]
    for scan in scans[4:]:
        tables = whole.rfind(b"\xff\xc4", 0, scan)  # The scan's Huffman table stands before it.
        preview = whole[:tables] + b"\xff\xd9"
        assert load_image(preview).repair is None
        assert np.abs(decode(preview).astype(int) - decode(whole)).mean() < 10
