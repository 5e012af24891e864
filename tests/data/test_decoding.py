"""Decoding: the pixels of each kind of file, and the errors for files that cannot be decoded."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.data import decoding
from headstart.data.decoding import (
    decode,
    decode_image,
    load_image,
    read_header,
    read_image,
)
from headstart.data.inputs import as_image
from headstart.data.pixel_limits import is_too_large
from headstart.data.tiling import Tile, TileScale
from headstart.errors import UnreadableImage
from headstart.options import DecodeLimits
from tests.conftest import picture
from tests.data.files import encoded, png_file

WHITE, RED = [255, 255, 255], [255, 0, 0]


def ramp(top: int, dtype: type = np.uint16) -> Image.Image:
    """Create an image of 16 x 16 values that rise from 0 to `top`."""
    return Image.fromarray(np.linspace(0, top, 256).astype(dtype).reshape(16, 16))


def test_rgb_is_unchanged() -> None:
    """The pixels of an RGB PNG are unchanged."""
    image = picture(1)
    assert np.array_equal(decode(encoded(image, "PNG")), np.asarray(image))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_is_scaled_by_its_full_range(kind: str) -> None:
    """0 to 65535 become 0 to 255, evenly."""
    pixels = decode(encoded(ramp(65535), kind))
    expected = np.rint(np.linspace(0, 65535, 256).astype(np.uint16) / 257).reshape(16, 16)
    assert pixels.shape == (16, 16, 3)
    assert np.abs(pixels[..., 0] - expected).max() <= 1
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert len(np.unique(pixels)) > 250


def test_twelve_bits_in_sixteen_keep_their_contrast() -> None:
    """A 12-bit picture in a 16-bit file spans black to white, no value clipped."""
    pixels = decode(encoded(ramp(4095), "PNG"))[..., 0]
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert len(np.unique(pixels)) == 256


def test_sixteen_bit_images_of_one_device_keep_their_relative_brightness() -> None:
    """Two 12-bit images are scaled by the same factor, not each by its brightest pixel."""
    bright, dim = decode(encoded(ramp(4095), "PNG")), decode(encoded(ramp(2100), "PNG"))
    assert bright.max() == 255
    assert dim.max() == round(2100 * 255 / 4095)


def test_sixteen_bit_colour_is_not_clipped() -> None:
    """A 16-bit RGB PNG is scaled to 8 bits by its range."""
    values = np.zeros((4, 4, 3), ">u2")
    values[..., 0], values[..., 1] = 65535, 32768
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    assert decode(png_file(4, 4, 2, 16, rows))[0, 0].tolist() == [255, 128, 0]


def test_float_tiff_is_scaled_by_its_own_range() -> None:
    """Floats have no natural range: the smallest becomes black, the largest white."""
    values = np.linspace(-1, 1, 256, dtype=np.float32).reshape(16, 16)
    pixels = decode(encoded(Image.fromarray(values), "TIFF"))[..., 0]
    assert np.array_equal(pixels.reshape(-1), np.arange(256))


def test_flat_float_tiff_is_black() -> None:
    """A float image of a single value does not divide by its range of zero."""
    image = Image.fromarray(np.full((4, 4), 7.5, np.float32))
    assert not decode(encoded(image, "TIFF")).any()


def test_float_tiff_with_nan_is_refused() -> None:
    """NaN has no brightness, so the file is refused."""
    data = encoded(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF")
    with pytest.raises(UnreadableImage) as caught:
        decode(data, path="x.tif")
    assert str(caught.value) == (
        "Cannot read image 'x.tif': it is damaged (it has values that are not finite)."
    )


def test_cmyk_jpeg_is_converted() -> None:
    """A CMYK JPEG of magenta and yellow is red."""
    pixels = decode(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"))
    assert np.abs(pixels.astype(int) - RED).max() <= 2


def test_palette_with_alpha_is_composited_on_white() -> None:
    """A transparent palette entry becomes white; an opaque one keeps its colour."""
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 255, 255, 0, 0])
    image.putpixel((1, 0), 1)
    assert decode(encoded(image, "PNG", transparency=0)).tolist() == [[WHITE, RED]]


def test_grey_with_alpha_is_composited_on_white() -> None:
    """Half-transparent black becomes middle grey."""
    image = Image.new("LA", (1, 1), (0, 128))
    assert decode(encoded(image, "PNG")).tolist() == [[[127, 127, 127]]]


def test_rgba_is_composited_on_white() -> None:
    """The colour of a fully transparent pixel does not show."""
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((0, 0), (0, 255, 0, 0))
    assert decode(encoded(image, "PNG")).tolist() == [[WHITE, RED]]


@pytest.mark.parametrize(
    ("mode", "hidden", "shown"), [("RGB", (0, 0, 255), (255, 0, 0)), ("L", 9, 7), ("1", 0, 255)]
)
def test_transparent_colour_is_composited_on_white(mode: str, hidden, shown) -> None:
    """If a PNG declares a colour transparent, those pixels become white, and no others."""
    image = Image.new(mode, (2, 1), hidden)
    image.putpixel((1, 0), shown)
    data = encoded(image, "PNG", transparency=hidden)
    expected = list(shown) if mode == "RGB" else [shown] * 3
    assert decode(data).tolist() == [[WHITE, expected]]


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey_stays_grey_until_asked(mode: str) -> None:
    """Grey and black-and-white files have mode L, and `decode` returns three equal channels."""
    image = Image.linear_gradient("L").convert(mode)
    data = encoded(image, "PNG")
    assert decode_image(data).mode == "L"
    pixels = decode(data)
    assert pixels.shape == (256, 256, 3)
    assert np.array_equal(pixels, np.asarray(image.convert("RGB")))
    assert (pixels.min(), pixels.max()) == (0, 255)


@pytest.mark.parametrize("min_side", [None, 20])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_gives_the_upright_picture(orientation: int, min_side: int | None) -> None:
    """All eight EXIF orientations give the same upright image, at full and reduced scale."""
    upright = Image.new("RGB", (64, 96))
    for place, colour in {(0, 0): "red", (32, 0): "lime", (0, 48): "blue"}.items():
        upright.paste(colour, (*place, place[0] + 32, place[1] + 48))
    turn = Image.Transpose
    stored = {
        1: None,
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_90,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_270,
    }[orientation]
    image = upright if stored is None else upright.transpose(stored)
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode(encoded(image, "JPEG", exif=exif, quality=95), min_side=min_side)
    height, width = pixels.shape[:2]
    assert (width, height) == ((64, 96) if min_side is None else (32, 48))
    quarters = [(1, 1), (1, 3), (3, 1), (3, 3)]
    seen = [pixels[height * row // 4, width * column // 4] for row, column in quarters]
    expected = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 0, 0]]
    assert np.abs(np.array(seen, int) - expected).max() < 30


def test_animated_gif_gives_its_first_frame() -> None:
    """Later frames of an animation are not read."""
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(data)[4, 4].tolist() == RED


@pytest.mark.parametrize("min_side", [1, 30, 63, 64, 65, 100, 128, 199, 256])
@pytest.mark.parametrize("size", [(512, 512), (515, 777)])
def test_reduced_jpeg_is_never_smaller_than_needed(size: tuple[int, int], min_side: int) -> None:
    """The shorter side has at least the requested number of pixels."""
    pixels = decode(encoded(picture(2).resize(size), "JPEG"), min_side=min_side)
    assert min(pixels.shape[:2]) >= min_side


@pytest.mark.parametrize(
    ("min_side", "side"),
    [(85, 128), (86, 256), (170, 256), (172, 512), (341, 512), (342, 1024), (2000, 1024)],
)
def test_large_jpeg_is_decoded_at_reduced_scale(min_side: int, side: int) -> None:
    """A JPEG is decoded at the smallest scale that leaves 3/2 of the size needed."""
    data = encoded(picture(2, side=1024), "JPEG")
    assert decode(data, min_side=min_side).shape == (side, side, 3)


@pytest.mark.parametrize(
    ("size", "needed", "decoded"),
    [
        ((1024, 1024), TileScale(192, 64), (512, 512)),
        ((1024, 1024), TileScale(191, 64), (1024, 1024)),
        ((1024, 768), TileScale(384, 64), (256, 192)),
        ((1024, 768), TileScale(5000, 64), (128, 96)),
        ((1023, 1022), TileScale(192, 64), (512, 511)),
        ((2000, 9), TileScale(640, 64), (500, 3)),
    ],
)
def test_jpeg_in_tiles_is_decoded_at_the_scale_of_tiles(
    size: tuple[int, int], needed: TileScale, decoded: tuple[int, int]
) -> None:
    """At the smallest scale that leaves 3/2 of what an input shows of a tile."""
    data = encoded(picture(2).resize(size), "JPEG")
    assert load_image(data, min_side=needed).image.size == decoded
    assert load_image(encoded(Image.new("L", size), "PNG"), min_side=needed).image.size == size


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiles_of_a_large_jpeg_are_decoded_at_their_own_scale(
    orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where 3/2 of it would take too much memory; each tile is where it is in the whole image."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = picture(2).resize((1001, 803))
    data = encoded(image, "JPEG", exif=exif, quality=95, subsampling=0)
    tile, whole = Tile(310, 240, 300, 256), load_image(data)
    monkeypatch.setattr(decoding, "_LARGE", 1001 * 803 - 1)
    reduced = load_image(data, min_side=TileScale(300, 150))
    assert sorted(reduced.image.size) == [402, 501]
    assert reduced.size == whole.size
    shown = [
        np.asarray(one.image.resize((75, 64), Image.Resampling.BOX, one.box_of(tile)), np.int64)
        for one in (whole, reduced)
    ]
    assert np.abs(shown[0] - shown[1]).max() <= 3


def test_jpeg_is_decoded_at_full_scale_by_default() -> None:
    """Without `min_side`, every pixel is decoded."""
    assert decode(encoded(picture(2, side=1024), "JPEG")).shape == (1024, 1024, 3)


def test_read_header_returns_the_stored_size_and_mode() -> None:
    """Width and height are those before EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_header(encoded(Image.new("L", (30, 20)), "JPEG", exif=exif)) == (30, 20, "L", False)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"This is a note, not a photo.", "it is not an image of a known format"),
        (b"%PDF-1.7 and so on", "it is not an image of a known format"),
        (encoded(picture(1), "JPEG")[:20], "it is not an image of a known format"),
        (encoded(picture(1), "ICO"), "it is not an image of a known format"),
    ],
    ids=["empty", "text", "pdf", "header", "format not allowed"],
)
def test_a_file_that_is_not_an_image_is_refused(data: bytes, reason: str) -> None:
    """The error has the file's name and the reason."""
    with pytest.raises(UnreadableImage) as caught:
        decode(data, path="cats/a.jpg")
    assert str(caught.value) == f"Cannot read image 'cats/a.jpg': {reason}."
    assert (caught.value.path, caught.value.reason) == ("cats/a.jpg", reason)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("min_side", [None, 8])
def test_truncated_image_is_refused(kind: str, min_side: int | None) -> None:
    """The missing half of a file is never filled with grey."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(UnreadableImage, match=r"^Cannot read image 'x': it is "):
        decode(data[: len(data) // 2], path="x", min_side=min_side)


def test_too_many_bytes_are_refused() -> None:
    """The message has the size of the file and the limit."""
    with pytest.raises(UnreadableImage) as caught:
        decode(b"x" * 2000, path="x.png", limits=DecodeLimits(max_bytes=1999))
    assert str(caught.value) == (
        "Cannot read image 'x.png': it has 2,000 bytes; the limit is 1,999."
    )


def test_pixels_up_to_the_limit_are_decoded() -> None:
    """The limit is inclusive."""
    data = encoded(Image.new("RGB", (40, 50)), "PNG")
    assert decode(data, limits=DecodeLimits(max_pixels=2000)).shape == (50, 40, 3)
    with pytest.raises(UnreadableImage) as caught:
        decode(data, path="x.png", limits=DecodeLimits(max_pixels=1999))
    assert caught.value.reason == ("it has 2,000 pixels (40 x 50), more than the limit of 1,999")


@pytest.mark.parametrize(
    ("side", "reason"),
    [
        (10_001, "100,020,001 pixels (10,001 x 10,001)"),
        (60_000, "3,600,000,000 pixels (60,000 x 60,000)"),
    ],
)
def test_decompression_bomb_is_refused_by_its_header(side: int, reason: str) -> None:
    """A small PNG with huge declared dimensions is refused before any pixel is decoded."""
    with pytest.raises(UnreadableImage) as caught:
        as_image(png_file(side, side, 2, 8))
    assert caught.value.reason == f"it has {reason}, more than the limit of 100,000,000"
    assert is_too_large(caught.value.reason)


def test_a_pixel_limit_above_pillow_s_own_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow refuses more than twice its own limit, which is raised only if it is asked for."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    data = encoded(Image.new("L", (60, 50), 7), "PNG")
    assert decode_image(data, limits=DecodeLimits.of(max_pixels=3000)).size == (60, 50)
    assert Image.MAX_IMAGE_PIXELS == 3000
    with pytest.raises(UnreadableImage, match="more than the limit of 2,999"):
        decode_image(data, limits=DecodeLimits.of(max_pixels=2999))


def test_missing_file_is_named(tmp_path: Path) -> None:
    """The reason says that the file does not exist."""
    with pytest.raises(UnreadableImage) as caught:
        read_image(str(tmp_path / "no.jpg"))
    assert caught.value.reason == "the file does not exist"


def test_a_folder_is_not_an_image(tmp_path: Path) -> None:
    """The reason says that the path is a folder."""
    with pytest.raises(UnreadableImage) as caught:
        read_image(str(tmp_path))
    assert caught.value.reason == "it is a folder"


def test_a_symlink_to_itself_is_refused(tmp_path: Path) -> None:
    """A circular link is an error and does not hang."""
    link = tmp_path / "a.jpg"
    link.symlink_to(link)
    with pytest.raises(UnreadableImage) as caught:
        read_image(str(link))
    assert caught.value.reason == "Too many levels of symbolic links"


def test_null_in_a_path_is_an_error() -> None:
    """The operating system's error is translated."""
    with pytest.raises(UnreadableImage) as caught:
        read_image("a\0b.jpg")
    assert caught.value.reason == "embedded null byte"


def test_missing_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason says that permission was denied."""
    secret = tmp_path / "secret.jpg"
    secret.touch()

    def refuse(path: Path, *_: object, **__: object) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UnreadableImage) as caught:
        read_image(str(secret))
    assert str(caught.value) == f"Cannot read image '{secret}': permission denied."


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    """A named pipe is refused at once instead of blocking."""
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    outcome: list[object] = []

    def read() -> None:
        try:
            outcome.append(read_image(str(pipe)))
        except UnreadableImage as error:
            outcome.append(error)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(1)
    hung = reader.is_alive()
    if hung:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        reader.join(5)
    assert not hung
    assert isinstance(outcome[0], UnreadableImage)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG", "AVIF"])
def test_more_frames_are_noticed(kind: str) -> None:
    """In animations and in files of several pages."""
    first, more = picture(1), {"save_all": True, "append_images": [picture(2)]}
    assert not read_header(encoded(first, kind)).has_more
    assert read_header(encoded(first, kind, **more)).has_more


def test_previews_in_a_photo_are_not_frames() -> None:
    """Phones write them into nearly every file."""
    data = encoded(picture(1), "MPO", save_all=True, append_images=[picture(2)])
    assert not read_header(data).has_more


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_a_cut_second_frame_does_not_matter(kind: str) -> None:
    """Only the first one has to be sound."""
    whole = encoded(picture(1), kind, save_all=True, append_images=[picture(2)])
    for end in range(len(whole) - 200, len(whole), 20):
        assert decode(whole[:end]).shape == (64, 64, 3)
        assert read_header(whole[:end])[:2] == (64, 64)
