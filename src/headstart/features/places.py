"""Where the feature store is: in a folder of this machine, or at a URL in an object store."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from headstart.data import remote
from headstart.errors import DataError, StoreError
from headstart.files import atomic_create, remove, size_of
from headstart.urls import scheme_of

Place: TypeAlias = Path | str
"""A folder, or the URL of one."""

# Otherwise, what cannot be written is tried again for minutes.
_RETRIES = {"client_max_retries": "3", "client_retry_timeout": "30"}


def within(folder: Place, name: str) -> Place:
    """Return the place of a table."""
    return folder / name if isinstance(folder, Path) else f"{folder}/{name}"


def around(place: Place) -> str:
    """Return the folder that a table is in."""
    return str(place.parent) if isinstance(place, Path) else place.rpartition("/")[0]


def storage_options(place: Place) -> dict[str, str] | None:
    """Return what Lance needs to know beside the environment."""
    if isinstance(place, Path):
        return None
    endpoint = remote.s3_endpoint() if scheme_of(place) == "s3" else None
    if endpoint is None:
        return _RETRIES
    plain = str(endpoint.startswith("http://")).lower()
    return {**_RETRIES, "aws_endpoint": endpoint, "allow_http": plain}


def exists(place: Place) -> bool:
    """Return whether there is a table at a place.

    Raises:
        StoreError: The object store cannot be reached or refuses.
    """
    if isinstance(place, Path):
        return place.exists()
    with _as_store_error():
        return remote.kind_of(place) is not None


def create(place: Place, write: Callable[[str], object]) -> None:
    """Create a table, completely or not at all; another process may do the same.

    Args:
        place: The table.
        write: Writes an empty one to a path or URL.
    """
    if isinstance(place, Path):
        with atomic_create(place) as partial:
            write(str(partial))
        return
    try:
        write(place)  # A table is there when its first version is, which is one object.
    except OSError as error:
        if "already exists" not in str(error):
            raise


def discard(place: Place) -> None:
    """Delete a table.

    Raises:
        StoreError: The object store cannot be reached or refuses.
    """
    if isinstance(place, Path):
        remove(place)
        return
    with _as_store_error():
        remote.remove_folder(place)


def tables_in(folder: Place) -> list[Place]:
    """Return all tables in a folder.

    Raises:
        StoreError: The object store cannot be reached or refuses.
    """
    if isinstance(folder, Path):
        found = sorted(folder.glob("*.lance"))
        return [path for path in found if not path.name.startswith(".")]
    if not exists(folder):
        return []
    with _as_store_error():
        names = remote.folders_in(folder)
    return [f"{folder}/{name}" for name in names if name.endswith(".lance")]


def bytes_of(place: Place) -> int:
    """Return the size of a table, or of all in a folder.

    Raises:
        StoreError: The object store cannot be reached or refuses.
    """
    if isinstance(place, Path):
        return size_of(place)
    if not exists(place):
        return 0
    with _as_store_error():
        return sum(file.size for file in remote.list_files(place))


@contextmanager
def _as_store_error() -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise StoreError(str(error)) from None
