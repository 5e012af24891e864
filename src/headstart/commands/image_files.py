"""Images that are named on the command line: files, folders, and files with several images."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from typing_extensions import TypeIs

from headstart.data.contract import PixelContract
from headstart.data.formats import is_image_file, is_table
from headstart.data.inputs import (
    ImageLike,
    ImagesLike,
    ListedImage,
    each_image,
    image_name,
    is_image,
)
from headstart.data.medical.volumes import Reading, is_volume, reading_of, unpack_volume
from headstart.data.paths import printable, walk_files
from headstart.data.staging import staging_folder
from headstart.errors import DataError, OptionError, UnreadableImage
from headstart.urls import is_on_web, is_url, url_of
from headstart.watching import Warn, Watcher

_SHARDS = (".tar", ".tar.gz", ".tgz")
"""The suffixes of shards, whose images are predicted one by one."""

if TYPE_CHECKING:
    from headstart.data.boxes.coco_listing import CocoListing


def found_images(images: ImagesLike, warn: Warn) -> Iterable[ImageLike]:
    """Return images with the files in a folder in place of the folder.

    Those of a generator may not fit into memory together; others are listed, so that their number
    is known.
    """
    files = _files(images, warn)
    return list(files) if is_image(images) or isinstance(images, Sized) else files


def found_with_tables(
    images: ImagesLike, cache: Path | None, watcher: Watcher
) -> Iterable[ImageLike | ListedImage]:
    """Return the same, with the images of a table or of COCO's JSON in place of that file."""
    files = _with_tables(_files(images, watcher.warn), cache, watcher)
    return list(files) if is_image(images) or isinstance(images, Sized) else files


def are_files(images: ImagesLike) -> bool:
    """Return whether images are paths that can be iterated over again."""
    if is_image(images):
        return isinstance(images, (str, os.PathLike))
    return isinstance(images, Collection) and all(
        isinstance(image, (str, os.PathLike)) for image in images
    )


def listed_files(
    images: ImagesLike, cache: Path | None, without: Path | None, watcher: Watcher
) -> Iterator[ListedImage]:
    """Yield the files that paths of files, folders, tables and COCO's JSON stand for.

    Args:
        images: The paths.
        cache: The folder for images that are embedded in a table.
        without: A folder that is left out, because pictures are written into it.
        watcher: Receives a warning of a folder that cannot be read.
    """
    for image in _with_tables(_files(images, watcher.warn, without), cache, watcher):
        yield image if isinstance(image, ListedImage) else _listed(image_name(image))


def count_of(images: Iterable[object]) -> int:
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
        return cls(staging_folder(cache), reading_of(contract))

    def unpacked(self, images: Iterable[ImageLike | ListedImage]) -> Iterator[ImageLike]:
        """Yield the images of each such file in its place, and others as they are.

        A file that cannot be read stays, so that there is a result for it.
        """
        for image in images:
            source, name, problem = _as_given(image)
            if problem or not _may_be_volume(source):
                self._notes.append((name, problem))
                yield source
                continue
            try:
                volume = unpack_volume(Path(source), self.staging, self.reading)
            except UnreadableImage as error:
                self._notes.append((name, error.reason))
                yield source
                continue
            for number, path in volume.images:
                self._notes.append((f"{name or os.fspath(source)}#{number}", None))
                yield str(path)

    def named(self, image: str, error: str | None = None) -> tuple[str, str | None]:
        """Return the name of the next image, and why it cannot be read.

        Args:
            image: What it was called where it was read.
            error: Why it could not be read there; None if it was.
        """
        name, problem = self._notes.popleft()
        return printable(name or image), error and (problem or error)


def _as_given(image: ImageLike | ListedImage) -> tuple[ImageLike, str | None, str | None]:
    """Return an image or its path, its name if that is another one, and the known problem."""
    if isinstance(image, ListedImage):
        return image.path, image.name, image.problem
    return image, None, None


def _files(images: ImagesLike, warn: Warn, without: Path | None = None) -> Iterator[ImageLike]:
    """Yield images with the files in a folder in place of the folder."""
    for image in each_image(images):
        if isinstance(image, (str, os.PathLike)) and Path(image).is_dir():
            yield from _images_in(Path(image), warn, without)
        else:
            yield image


def _images_in(folder: Path, warn: Warn, without: Path | None) -> Iterator[Path]:
    def name_folder(error: OSError) -> None:
        warn(f"Folder '{printable(error.filename)}' cannot be read: {error.strerror}.")

    excluded = without and without.absolute()
    found, shards = False, list[Path]()
    for file in walk_files(folder, on_unreadable=name_folder):
        if is_image_file(file) and not (excluded and excluded in file.absolute().parents):
            found = True
            yield file
        elif file.name.lower().endswith(_SHARDS):
            shards.append(file)
    if found:
        return
    yield from shards
    if not shards:
        raise DataError(f"Folder '{folder}' contains no images.")


def _with_tables(
    images: Iterable[ImageLike], cache: Path | None, watcher: Watcher
) -> Iterator[ImageLike | ListedImage]:
    """Yield images with those of a table, a shard, a URL or COCO's JSON in place of its name."""
    for image in images:
        path = Path(image) if isinstance(image, (str, os.PathLike)) else None
        if path and (url := _object_url(path)):
            from headstart.data.unlabelled import images_at  # Arrow is slow to import.

            yield from images_at(url, staging_folder(cache), watcher)
        elif path and _is_existing_table(path):
            from headstart.data.unlabelled import images_of_table

            yield from images_of_table(path, staging_folder(cache), watcher)
        elif path and path.name.lower().endswith(_SHARDS):
            from headstart.data.unlabelled import images_of_local_shards

            yield from images_of_local_shards(str(path), staging_folder(cache), watcher.warn)
        elif path and (listing := coco_listing(path)):
            yield from listing.files
        else:
            yield image


def coco_listing(path: Path) -> CocoListing | None:
    """Return what COCO's JSON lists; None if a path is that of another file.

    Raises:
        DataError: It cannot be parsed, or contradicts itself.
    """
    if path.suffix.lower() != ".json":
        return None
    from headstart.data.boxes.coco_listing import CocoListing, lists_coco_images

    return CocoListing.read(path) if lists_coco_images(path) else None


def numbering_listing(images: ImagesLike) -> CocoListing | None:
    """Return the listing whose ids COCO's results have: that of the only file that was passed.

    Raises:
        OptionError: Other images were passed beside it, which have no ids.
    """
    passed = list(each_image(images)) if are_files(images) else []
    listings = [one for image in passed if (one := coco_listing(Path(image_name(image))))]
    if listings and len(passed) > 1:
        raise OptionError(
            f"--format coco takes the ids of images from '{listings[0].file}', and other images "
            "are passed beside it. Pass the file alone."
        )
    return listings[0] if listings else None


def _is_existing_table(path: Path) -> bool:
    """Return whether a path is that of a table.

    Raises:
        DataError: It is called like a table, but does not exist.
    """
    if is_table(path) and not path.exists() and not is_url(str(path)):
        raise DataError(f"Table '{path}' does not exist.")
    return is_table(path) and path.is_file()


def _object_url(path: Path) -> str | None:
    url = url_of(path)
    return url if url and not is_on_web(url) else None


def _may_be_volume(source: ImageLike) -> TypeIs[str | os.PathLike[str]]:
    if not isinstance(source, (str, os.PathLike)) or is_url(os.fspath(source)):
        return False
    return is_volume(Path(source))


def _listed(name: str) -> ListedImage:
    """Return a file that is found from any current folder."""
    return ListedImage(name, name if is_url(name) else str(Path.cwd() / name))
