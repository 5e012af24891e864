"""Understand data in an object store.

Images stay there and are read when they are needed. What holds images or lists them (tables,
archives, shards) is copied to the staging folder, and is then like a local one.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from headstart.data import archives, tables
from headstart.data.folder_sources import check_class_folders, read_folder, with_several_labels
from headstart.data.folders import list_listed
from headstart.data.formats import is_named_like_image, is_table
from headstart.data.interpretation import Interpretation
from headstart.data.listing import Source
from headstart.data.path_groups import grouped_by_path
from headstart.data.paths import list_names
from headstart.data.remote import RemoteFile, fetch, kind_of, list_files, state_of
from headstart.data.shards import (
    Shard,
    expand,
    is_pattern,
    is_shard,
    is_shard_name,
    read_shards,
)
from headstart.errors import DataError, HeadstartError
from headstart.files import digest
from headstart.urls import url_folder, url_name


def read_url_source(url: str, staging: Path, interpretation: Interpretation) -> Source:
    """List the images of a folder, a table, an archive or shards in an object store.

    See `sources.open_source` for the arguments.

    Raises:
        DataError: It does not exist, is of a kind that is read only from this machine, or the store
            cannot be reached or refuses.
        OptionError: See there.
    """
    if is_pattern(url):
        shards = remote_shards(expand(url), staging)
        return read_shards(url, shards, staging, interpretation)
    kind = kind_of(url)
    if kind is None:
        raise DataError(f"Data '{url}' does not exist.")
    read = _read_folder if kind == "folder" else _read_file
    return read(url, staging, interpretation)


def remote_shards(urls: Sequence[str], staging: Path) -> list[Shard]:
    """Return the shards of URLs.

    Raises:
        DataError: One does not exist.
    """
    files = {url: state_of(url) for url in urls}
    if missing := [url for url, file in files.items() if file is None]:
        raise DataError(f"These shards do not exist: {list_names(missing)}.")
    return [shard_of(file, staging) for file in files.values() if file]


def shard_of(file: RemoteFile, staging: Path) -> Shard:
    """Return the shard of a file, which is copied to this machine when it is unpacked."""
    key = digest({"url": file.url, "size": file.size, "changed": file.changed})
    return Shard(url_name(file.url), key, lambda: fetch(file, staging), copied=True)


def fetched(url: str, staging: Path) -> Path:
    """Return the path of a copy of a file.

    Raises:
        DataError: It does not exist, or the store cannot be reached or refuses.
    """
    file = state_of(url)
    if file is None:
        raise DataError(f"'{url}' does not exist.")
    return fetch(file, staging)


@contextmanager
def named_by_url(copy: Path, url: str) -> Iterator[None]:
    """Name the URL of a file in errors, in place of the path of its copy."""
    try:
        yield
    except HeadstartError as error:
        error.args = tuple(str(one).replace(str(copy), url) for one in error.args)
        raise


def _read_file(url: str, staging: Path, interpretation: Interpretation) -> Source:
    name = url_name(url)
    if is_table(Path(name)):
        copy = fetched(url, staging)
        with named_by_url(copy, url):
            return tables.read_table(copy, staging, interpretation, base=url_folder(url))
    if not archives.is_archive(Path(name)):
        raise DataError(
            f"'{url}' is not a folder, a table, an archive or a shard. Other files are read only "
            "from this machine: copy the data here."
        )
    copy = fetched(url, staging)
    with named_by_url(copy, url):
        if is_shard_name(name) and is_shard(copy):
            return read_shards(url, [Shard.of(copy)], staging, interpretation)
        return read_folder(archives.unpack(copy, staging), url, staging, interpretation)


def _read_folder(url: str, staging: Path, interpretation: Interpretation) -> Source:
    files = [file for file in list_files(url) if not url_name(file.url).startswith(".")]
    images = any(is_named_like_image(file.name) for file in files)
    if files and all(is_shard_name(file.name) for file in files):
        shards = [shard_of(file, staging) for file in files]
        return read_shards(url, shards, staging, interpretation)
    parquet = [file for file in files if PurePosixPath(file.name).suffix.lower() == ".parquet"]
    if parquet and not images:
        folder = _copies(url, parquet, staging)
        with named_by_url(folder, url):
            return read_folder(folder, url, staging, interpretation)
    labelling = interpretation.labelling
    if labelling.task == "boxes":
        raise DataError(
            f"Boxes beside the images of '{url}' are read only from this machine. Copy the data "
            "here, or pass a table with the columns path, x1, y1, x2, y2 and label."
        )
    check_class_folders(url, interpretation)
    source = list_listed([file.name for file in files], url, labelling.known)
    source = grouped_by_path(source, interpretation.group)
    return with_several_labels(source) if labelling.task == "multi" else source


def _copies(url: str, files: Sequence[RemoteFile], staging: Path) -> Path:
    """Return a folder with copies of files, under the names that they have in theirs."""
    states = {file.name: [file.size, file.changed] for file in files}
    folder = staging / "remote" / digest({"url": url, "files": states})
    for file in files:
        target = folder / file.name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            fetch(file, staging).replace(target)
    return folder
