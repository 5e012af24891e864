"""Broken metadata costs no image: only the orientation matters for the pixels."""

import io
import random
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageCms

from headstart.data.decoding import decode, load_image, read_header
from headstart.data.inputs import as_image
from headstart.data.metadata import without_metadata
from headstart.data.quiet import quiet_libraries
from headstart.errors import UnreadableImage
from tests.conftest import picture
from tests.data.files import encoded, png_chunk, png_file

PICTURE = picture(1).crop((0, 0, 48, 32))
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"<x:xmpmeta>" + b"a" * 300 + b"</x:xmpmeta>"


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Suppress Pillow's warnings, as every caller of `decode` does."""
    with quiet_libraries():
        yield


def turned() -> Image.Exif:
    """Return EXIF data that turn an image, with other tags before and after."""
    exif = Image.Exif()
    exif[0x010E], exif[0x0112], exif[0x8298] = "a description" * 9, 6, "a copyright" * 9
    return exif


UPRIGHT = np.rot90(np.asarray(PICTURE), -1)


def png_with(*chunks: bytes) -> bytes:
    """Return the picture, turned by its EXIF data, as a PNG with extra chunks."""
    rows = b"".join(b"\0" + row.tobytes() for row in np.asarray(PICTURE))
    exif = png_chunk(b"eXIf", turned().tobytes()[6:])
    return png_file(48, 32, 2, 8, rows, b"".join([*chunks, exif]))


def with_broken_checksum(chunk: bytes) -> bytes:
    """Return a chunk of a PNG with another checksum."""
    return chunk[:-4] + bytes(4)


BROKEN_CHUNKS = {
    "compressed bomb": png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**21))),
    "many texts": png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**20 - 1))) * 65,
    "international bomb": png_chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(2**21))),
    "text that is not compressed": png_chunk(b"zTXt", b"a\0\0" + b"not zlib"),
    "unknown compression": png_chunk(b"zTXt", b"a\0\7" + b"x"),
    "profile": png_chunk(b"iCCP", b"a\0\0" + b"not zlib"),
    "huge profile": png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2**22))),
    "short density": png_chunk(b"pHYs", b"\0"),
    "short gamma": png_chunk(b"gAMA", b"\0"),
    "short chromaticities": png_chunk(b"cHRM", b"\0\0\0\1\2"),
    "short rendering intent": png_chunk(b"sRGB", b""),
    "animation control": png_chunk(b"acTL", b"\0"),
    "frame control": png_chunk(b"fcTL", bytes(26)),
    "text's checksum": with_broken_checksum(png_chunk(b"tEXt", b"a\0b")),
    "time's checksum": with_broken_checksum(png_chunk(b"tIME", bytes(7))),
    "unknown chunk's checksum": with_broken_checksum(png_chunk(b"prIv", b"x")),
}


@pytest.mark.parametrize("name", BROKEN_CHUNKS)
def test_a_png_with_a_broken_chunk(name: str) -> None:
    """Its pixels and its orientation are read."""
    assert np.array_equal(decode(png_with(BROKEN_CHUNKS[name])), UPRIGHT)


def test_a_png_with_broken_exif_is_upright() -> None:
    """A wrong checksum of the orientation means upright."""
    data = png_with(BROKEN_CHUNKS["text's checksum"])
    place = data.index(b"eXIf") + 30
    data = data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :]
    assert np.array_equal(decode(data), np.asarray(PICTURE))


def test_a_png_with_broken_pixels_is_refused() -> None:
    """Chunks that the pixels need must be right."""
    data = bytearray(png_with(BROKEN_CHUNKS["profile"]))
    data[data.index(b"IHDR") + 4 + 13] ^= 1
    with pytest.raises(UnreadableImage):
        decode(bytes(data))


def jpeg(**options) -> bytes:
    """Return the picture as a JPEG with all kinds of metadata."""
    given = {"exif": turned(), "icc_profile": PROFILE, "xmp": XMP, "comment": "c" * 99, **options}
    return encoded(PICTURE, "JPEG", **given)


def jpeg_pixels() -> np.ndarray:
    """Return the pixels of the JPEG without metadata, as they are stored."""
    return decode(encoded(PICTURE, "JPEG"))


def segment(marker: int, content: bytes, size: int | None = None) -> bytes:
    """Return a segment of a JPEG; its stated size may be false."""
    stated = len(content) + 2 if size is None else size
    return bytes((0xFF, marker)) + struct.pack(">H", stated) + content


BROKEN_SEGMENTS = {
    "profile": segment(0xE2, b"ICC_PROFILE\0\5\1" + b"x" * 99),
    "multi-picture format": segment(0xE2, b"MPF\0II*\0" + b"\xff" * 40),
    "Photoshop": segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04" + b"\xff" * 9),
    "EXIF": segment(0xE1, b"Exif\0\0" + b"\xff" * 99),
    "EXIF's header": segment(0xE1, b"Exif\0\0II*\0" + b"\xff" * 4),
    "XMP": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x" + b"\xff" * 9),
    "size of 0": segment(0xE3, b"", size=0),
    "size of 1": segment(0xE3, b"", size=1),
    "bytes between segments": b"\1\2\3" + segment(0xFE, b"x"),
    "fill bytes": b"\xff\xff\xff",
}


@pytest.mark.parametrize("min_side", [None, 4])
@pytest.mark.parametrize("name", BROKEN_SEGMENTS)
def test_a_jpeg_with_a_broken_segment(name: str, min_side: int | None) -> None:
    """Its pixels are read, at full and at reduced scale."""
    whole = encoded(PICTURE, "JPEG")
    after_jfif = 20
    broken = whole[:after_jfif] + BROKEN_SEGMENTS[name] + whole[after_jfif:]
    assert np.array_equal(decode(broken, min_side=min_side), decode(whole, min_side=min_side))


def test_a_jpeg_keeps_its_orientation_and_colours_without_its_metadata() -> None:
    """EXIF and Adobe's segment remain: the latter says how colours are stored."""
    cmyk = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG")
    assert np.array_equal(decode(without_metadata(cmyk)), decode(cmyk))
    plain = without_metadata(jpeg())
    assert len(plain) < len(jpeg()) - len(PROFILE)
    assert np.array_equal(decode(plain), np.rot90(jpeg_pixels(), -1))


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_means_upright(value: int) -> None:
    """Only 1 to 8 have a meaning."""
    exif = Image.Exif()
    exif[0x0112] = value
    data = encoded(PICTURE, "JPEG", exif=exif)
    assert np.array_equal(decode(data), jpeg_pixels())
    assert np.array_equal(np.asarray(as_image(Image.open(io.BytesIO(data)))), jpeg_pixels())


@pytest.mark.parametrize("kind", [2, 5, 7, 12])
def test_an_orientation_of_another_type_means_upright(kind: int) -> None:
    """A text, a fraction, bytes and a float are not orientations."""
    entry = struct.pack("<HHII", 0x0112, kind, 1, 6)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
    data = encoded(PICTURE, "JPEG", exif=exif)
    assert np.array_equal(decode(data), jpeg_pixels())
    assert np.array_equal(np.asarray(as_image(Image.open(io.BytesIO(data)))), jpeg_pixels())


def chunks_of(data: bytes) -> list[tuple[int, int, bytes]]:
    """Return the start, end and kind of each chunk of a WebP."""
    found, place = [], 12
    while place < len(data):
        size = struct.unpack("<I", data[place + 4 : place + 8])[0]
        end = place + 8 + size + size % 2
        found.append((place, end, data[place : place + 4]))
        place = end
    return found


@pytest.mark.parametrize("damage", ["cut", "gone", "huge", "noise", "renamed"])
@pytest.mark.parametrize("kind", [b"ICCP", b"EXIF", b"XMP "])
def test_a_webp_with_a_broken_chunk(kind: bytes, damage: str) -> None:
    """The pixels are read; without its EXIF chunk, it is upright."""
    whole = encoded(PICTURE, "WEBP", lossless=True, exif=turned(), icc_profile=PROFILE, xmp=XMP)
    start, end, _ = next(chunk for chunk in chunks_of(whole) if chunk[2] == kind)
    broken = {
        "cut": whole[: start + 20],
        "gone": whole[:start] + whole[end:],
        "huge": whole[: start + 4] + struct.pack("<I", 2**31) + whole[start + 8 :],
        "noise": whole[: start + 8] + random.Random(0).randbytes(end - start - 8) + whole[end:],
        "renamed": whole[:start] + b"junk" + whole[start + 4 :],
    }[damage]
    if kind == b"ICCP" and damage in ("cut", "huge"):  # The pixels come after it.
        with pytest.raises(UnreadableImage):
            decode(broken)
        return
    expected = np.asarray(PICTURE) if kind == b"EXIF" else UPRIGHT
    assert np.array_equal(decode(broken), expected)


TIFF_TAGS = {270: "description", 274: "orientation", 282: "density", 33432: "copyright"}


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("tag", [*TIFF_TAGS, 34675])
def test_a_tiff_with_a_broken_tag(tag: int, compression: str | None) -> None:
    """Whatever a tag without a meaning for pixels contains, the pixels are read."""
    options = {"exif": turned(), "icc_profile": PROFILE, "dpi": (72, 72)}
    whole = encoded(PICTURE, "TIFF", compression=compression, **options)
    start = whole.index(struct.pack("<H", tag), struct.unpack("<I", whole[4:8])[0])
    kinds = [(kind, 1, 9) for kind in range(20)]
    counts = [(2, 2**31, 8), (7, 2**32 - 1, 8), (5, 1, len(whole) - 4), (2, 9, 2**32 - 1)]
    for kind, count, value in [*kinds, *counts]:
        entry = struct.pack("<HHII", tag, kind, count, value)
        pixels = decode(whole[:start] + entry + whole[start + 12 :])
        expected = np.asarray(PICTURE) if tag == 274 else UPRIGHT
        assert np.array_equal(pixels, expected), (kind, count, value)


def test_an_avif_with_broken_exif() -> None:
    """The pixels are read."""
    whole = encoded(PICTURE, "AVIF", exif=turned().tobytes())
    start = whole.index(b"Exif\0\0", whole.index(b"mdat")) - 4
    broken = whole[:start] + b"\xff" * 14 + whole[start + 14 :]
    with pytest.raises(ValueError, match="Exif"):
        Image.open(io.BytesIO(broken))
    assert np.array_equal(decode(broken), np.rot90(decode(encoded(PICTURE, "AVIF")), -1))


def test_a_jpeg_2000_with_a_broken_density() -> None:
    """The box of the resolution does not matter."""
    whole = encoded(PICTURE, "JPEG2000")
    header = whole.index(b"jp2h") - 4
    size = struct.unpack(">I", whole[header : header + 4])[0]
    box = struct.pack(">I", 16) + b"res " + struct.pack(">I", 99) + b"resc"
    head = struct.pack(">I", size + len(box)) + whole[header + 4 : header + size]
    broken = whole[:header] + head + box + whole[header + size :]
    assert np.array_equal(decode(broken), np.asarray(PICTURE))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "GIF", "BMP", "JPEG2000"])
def test_a_whole_file_is_read_without_its_metadata_too(kind: str) -> None:
    """What is removed from a sound file changes no pixel."""
    data = encoded(PICTURE, kind)
    assert np.array_equal(decode(without_metadata(data)), decode(data))


def test_broken_metadata_is_not_a_repair() -> None:
    """Nothing that the network sees was missing."""
    assert load_image(png_with(BROKEN_CHUNKS["profile"])).repair is None


def test_the_header_of_a_file_with_broken_metadata_is_read() -> None:
    """The size and the mode are found."""
    assert read_header(png_with(BROKEN_CHUNKS["profile"])) == (48, 32, "RGB", False)


def test_limits_hold_for_files_with_broken_metadata() -> None:
    """A bomb is refused by its header although a chunk before its pixels is broken."""
    data = png_file(60_000, 60_000, 2, 8, b"", BROKEN_CHUNKS["profile"])
    with pytest.raises(UnreadableImage) as caught:
        decode(data)
    assert caught.value.reason == (
        "it has 3,600,000,000 pixels (60,000 x 60,000), more than the limit of 100,000,000"
    )
