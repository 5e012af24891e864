"""List images without their labels: those of tables, of shards, and of folders in object stores."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from headstart.data.boxes import tables
from headstart.data.boxes.box_columns import find_box_columns
from headstart.data.formats import is_named_like_image, is_table
from headstart.data.image_cells import listed_images
from headstart.data.inputs import ListedImage
from headstart.data.remote import RemoteFile, kind_of, list_files
from headstart.data.shards import (
    Shard,
    expand,
    is_pattern,
    is_shard_name,
    local_shards,
    samples_of,
)
from headstart.data.table_files import open_table
from headstart.data.url_sources import fetched, named_by_url, remote_shards, shard_of
from headstart.errors import DataError
from headstart.urls import url_folder, url_name
from headstart.watching import Warn, Watcher


def images_at(url: str, staging: Path, watcher: Watcher) -> Iterator[ListedImage]:
    """Yield the images that a URL stands for: of a folder, a table, shards, or the image itself.

    Args:
        url: The URL in an object store.
        staging: Folder for copies of tables, and for images that are in tables or shards.
        watcher: Receives a note of how a table was read, and a warning for each damaged shard.

    Raises:
        DataError: A folder has no images, a table cannot be read, all shards are damaged, or the
            store cannot be reached or refuses.
    """
    if is_pattern(url):
        yield from images_of_shards(remote_shards(expand(url), staging), staging, watcher.warn)
    elif is_table(Path(url_name(url))):
        copy = fetched(url, staging)
        with named_by_url(copy, url):
            yield from images_of_table(copy, staging, watcher, base=url_folder(url))
    elif is_shard_name(url):
        yield from images_of_shards(remote_shards([url], staging), staging, watcher.warn)
    elif is_named_like_image(url_name(url)) or kind_of(url) != "folder":
        yield ListedImage(url, url)
    else:
        yield from _images_in(url, staging, watcher.warn)


def images_of_table(
    path: Path, staging: Path, watcher: Watcher, base: str | None = None
) -> Iterator[ListedImage]:
    """Yield the image of each row or, of a table with a row for each box, each image once.

    Args:
        path: The table.
        staging: Folder for embedded images.
        watcher: Receives a note if there are fewer images than rows.
        base: See `ImageCells.of`.

    Raises:
        DataError: It cannot be read.
    """
    table = open_table(path)
    if find_box_columns(table.schema.names):
        return tables.listed_images(path, table, staging, watcher, base)
    return listed_images(path, staging, base)


def images_of_local_shards(text: str, staging: Path, warn: Warn) -> Iterator[ListedImage]:
    """Yield the images of a shard on this machine, or of those that a pattern names.

    Raises:
        DataError: Some do not exist, or all are damaged.
    """
    yield from images_of_shards(local_shards(text), staging, warn)


def images_of_shards(shards: Sequence[Shard], staging: Path, warn: Warn) -> Iterator[ListedImage]:
    """Yield the images of shards; of each damaged one, a warning.

    Raises:
        DataError: All are damaged.
    """
    damaged = 0
    for shard in shards:
        try:
            for sample, path in samples_of(shard, staging):
                yield ListedImage(f"{shard.name}/{sample.name}", str(path))
        except DataError as error:
            damaged += 1
            if damaged == len(shards):
                raise
            warn(f"Left out: {error}")


def _images_in(url: str, staging: Path, warn: Warn) -> Iterator[ListedImage]:
    files = list_files(url)
    images = [file for file in files if is_named_like_image(file.name)]
    if not images and files and all(is_shard_name(file.name) for file in files):
        yield from images_of_shards([shard_of(file, staging) for file in files], staging, warn)
    elif not images:
        raise DataError(f"Folder '{url}' contains no images.")
    yield from map(_listed, images)


def _listed(file: RemoteFile) -> ListedImage:
    return ListedImage(file.url, file.url, state=(file.size, file.changed))
