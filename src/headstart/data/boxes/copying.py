"""Copy images into the folder of a converted data set, upright and with names that are unique."""

import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from headstart.data.boxes.folder_files import IMAGE_FOLDERS
from headstart.data.boxes.image_sizes import ImageSize
from headstart.data.decoding import load_image, read_format, read_image
from headstart.data.manifest import Entry
from headstart.data.split_names import split_of
from headstart.urls import is_url

_QUALITY = 95
# What a PNG can store; others become RGB.
_PNG_MODES = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")
_JPEG = ("JPEG", "MPO")
_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2"}


@dataclass(frozen=True)
class Copying:
    """How an image is copied.

    Attributes:
        name: Its path within the folder of the images of its part.
        turned: Whether it is written anew, upright, as its metadata says that it is to be turned.
    """

    name: str
    turned: bool


def unique_names(images: Iterable[tuple[Entry, ImageSize]]) -> list[Copying]:
    """Return how images are copied: under their own names, but for folders of images and parts.

    No two of a part have the same path without its suffix, as YOLO's label files are found by that.

    Args:
        images: The images and their sizes.
    """
    taken: defaultdict[str | None, set[str]] = defaultdict(set)
    return [
        Copying(
            _unique(_name_of(entry.image, entry.path, size), taken[entry.split]),
            size.orientation != 1,
        )
        for entry, size in images
    ]


def copy_image(path: str, target: Path, *, turned: bool) -> None:
    """Link an image to another folder, or copy it; or write it anew, upright.

    Raises:
        UnreadableImage: It cannot be decoded, to be turned.
        OSError: It cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if turned:
        _write_upright(path, target)
        return
    if is_url(path):
        target.write_bytes(read_image(path))
        return
    try:
        os.link(Path(path).resolve(), target)
    except OSError:  # Another file system, or one without links.
        shutil.copyfile(path, target)


def _write_upright(path: str, target: Path) -> None:
    image = load_image(read_image(path), path=path).image
    if target.suffix == ".jpg":
        image.convert("L" if image.mode == "L" else "RGB").save(
            target, "JPEG", quality=_QUALITY, subsampling=0
        )
        return
    written: Image.Image = image if image.mode in _PNG_MODES else image.convert("RGB")
    written.save(target, "PNG")


def _name_of(image: str, path: str, size: ImageSize) -> PurePosixPath:
    """Return the name that an image would best have."""
    name = PurePosixPath(image.replace("\\", "/"))
    own = [part for part in name.parts[:-1] if part not in ("/", "..", ".")]
    folders = [part for part in own if part.lower() not in IMAGE_FOLDERS and not split_of(part)]
    has_suffix = name.suffix.lower() == Path(path).suffix.lower()
    stem = name.stem if has_suffix else name.name
    return PurePosixPath(*map(_plain, folders), _plain(stem) + _suffix(path, size))


def _suffix(path: str, size: ImageSize) -> str:
    """Return the suffix of a copied file; that of embedded images and of turned ones is new."""
    suffix = Path(path).suffix
    if suffix and size.orientation == 1:
        return suffix
    kind = read_format(read_image(path)).name
    if size.orientation != 1:
        return ".jpg" if kind in _JPEG else ".png"
    return _SUFFIXES.get(kind, f".{kind.lower()}")


def _plain(name: str) -> str:
    """Return a name without characters that some programs do not take."""
    return re.sub(r'[\x00-\x1f:*?"<>|]', "-", name).strip() or "image"


def _unique(name: PurePosixPath, taken: set[str]) -> str:
    """Return a name with a number if another image has it, and take it."""
    stem, number = name.stem, 1
    while (key := str(name.with_suffix("")).casefold()) in taken:
        number += 1
        name = name.with_name(f"{stem}-{number}{name.suffix}")
    taken.add(key)
    return str(name)
