"""Images that are named on the command line: files, folders, and files with several images."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from headstart.data.contract import PixelContract
from headstart.data.formats import is_image_file
from headstart.data.inputs import ImageLike, ImagesLike, each_image, is_image
from headstart.data.medical.volumes import Reading, is_volume, reading_of, unpack_volume
from headstart.data.paths import printable, walk_files
from headstart.errors import DataError, UnreadableImage
from headstart.options import cache_folder
from headstart.watching import Warn


def found_images(images: ImagesLike, warn: Warn) -> Iterable[ImageLike]:
    """Return images with the files in a folder in place of the folder.

    Those of a generator may not fit into memory together; others are listed, so that their number
    is known.
    """
    files = _files(images, warn)
    return list(files) if is_image(images) or isinstance(images, Sized) else files


def count_of(images: Iterable[ImageLike]) -> int:
    """Return the number of images; 0 if it is not known before they are read."""
    return len(images) if isinstance(images, Sized) else 0


@dataclass
class Volumes:
    """Files with several images, which are predicted one by one.

    Attributes:
        staging: Folder for their images.
        reading: How they are read.
    """

    staging: Path
    reading: Reading
    # For each image in turn its name, if that is not its path, and why it cannot be read.
    _notes: deque[tuple[str | None, str | None]] = field(default_factory=deque)

    @classmethod
    def of(cls, contract: PixelContract, cache: Path | None) -> Self:
        """Return the files as a model reads them, with their images in the cache."""
        return cls(cache_folder(cache) / "images", reading_of(contract))

    def unpacked(self, images: Iterable[ImageLike]) -> Iterator[ImageLike]:
        """Yield the images of each such file in its place, and others as they are.

        A file that cannot be read stays, so that there is a result for it.
        """
        for image in images:
            if not isinstance(image, (str, os.PathLike)) or not is_volume(Path(image)):
                self._notes.append((None, None))
                yield image
                continue
            try:
                volume = unpack_volume(Path(image), self.staging, self.reading)
            except UnreadableImage as error:
                self._notes.append((None, error.reason))
                yield image
                continue
            for number, path in volume.images:
                self._notes.append((f"{os.fspath(image)}#{number}", None))
                yield str(path)

    def named(self, image: str, error: str | None = None) -> tuple[str, str | None]:
        """Return the name of the next image, and why it cannot be read.

        Args:
            image: What it was called where it was read.
            error: Why it could not be read there; None if it was.
        """
        name, problem = self._notes.popleft()
        return printable(name or image), error and (problem or error)


def _files(images: ImagesLike, warn: Warn) -> Iterator[ImageLike]:
    """Yield images with the files in a folder in place of the folder."""
    for image in each_image(images):
        if isinstance(image, (str, os.PathLike)) and Path(image).is_dir():
            yield from _images_in(Path(image), warn)
        else:
            yield image


def _images_in(folder: Path, warn: Warn) -> list[Path]:
    def name_folder(error: OSError) -> None:
        warn(f"Folder '{printable(error.filename)}' cannot be read: {error.strerror}.")

    files = [file for file in walk_files(folder, on_unreadable=name_folder) if is_image_file(file)]
    if not files:
        raise DataError(f"Folder '{folder}' contains no images.")
    return files
