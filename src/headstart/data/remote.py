"""Files in object stores: the only module that knows other file systems than that of the machine.

pyarrow has S3, Google Cloud Storage, Azure and HDFS; fsspec, if it is installed, has others. Names
are those of the store, as its own tools show them: nothing in a URL is percent-encoded.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.fs as pafs

from headstart.errors import DataError, HeadstartError, UnreadableImage
from headstart.files import atomic_create, digest
from headstart.urls import is_on_web, scheme_of, url_name

# Three attempts of this many seconds end within half a minute.
_READ_SECONDS, _CONNECT_SECONDS, _ATTEMPTS = 8.0, 4.0, 3
_CHUNK = 2**22

_DENIED = (
    *("ACCESS_DENIED", "AccessDenied", "INVALID_ACCESS_KEY", "InvalidAccessKeyId", "Forbidden"),
    *("SIGNATURE_DOES_NOT_MATCH", "SignatureDoesNotMatch", "INVALID_CLIENT_TOKEN", "EXPIRED_TOKEN"),
    *("response code 403", "response code: 403", "UNAUTHENTICATED", "PERMISSION_DENIED"),
)
_NO_BUCKET = ("NO_SUCH_BUCKET", "NoSuchBucket")
_NETWORK = ("NETWORK_CONNECTION", "curlCode", "UNAVAILABLE", "timed out", "Timeout")
_KEYS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws"


class Unavailable(DataError):
    """A store cannot be reached or refuses, so that reading other files makes no sense either."""


@dataclass(frozen=True)
class RemoteFile:
    """A file in an object store.

    Attributes:
        url: Its URL.
        name: Its path within the folder that was listed.
        size: Bytes.
        changed: When it was written, in nanoseconds since 1970; 0 if the store does not say.
    """

    url: str
    name: str
    size: int
    changed: int


def url_problem(url: str) -> str | None:
    """Return why a URL cannot be read, as far as that is known from its text; None if it can.

    Raises:
        DataError: The store cannot be reached.
    """
    if is_on_web(url):
        return "it is a URL; download the file first"
    try:
        _opened(*_root(url))
    except Unavailable:
        raise
    except DataError as error:
        return str(error).rstrip(".")
    return None


def kind_of(url: str) -> Literal["file", "folder"] | None:
    """Return what is at a URL; None if nothing is.

    Raises:
        DataError: The store cannot be reached or refuses, or the bucket does not exist.
    """
    system, path = _place(url)
    with _translated(url):
        found = system.get_file_info(path).type
        if found == pafs.FileType.NotFound and system.get_file_info(_bucket(path)).type == found:
            raise _no_bucket(url)
    kinds: dict[object, Literal["file", "folder"]] = {
        pafs.FileType.File: "file",
        pafs.FileType.Directory: "folder",
    }
    return kinds.get(found)


def access_problem(url: str) -> str | None:
    """Return why files like this cannot be read, as a sentence; None if they can."""
    try:
        kind_of(url)
    except DataError as error:
        return str(error)
    return None


def state_of(url: str) -> RemoteFile | None:
    """Return a file; None if it does not exist.

    Raises:
        DataError: The store cannot be reached or refuses.
    """
    system, path = _place(url)
    with _translated(url):
        info = system.get_file_info(path)
    return _file(url, url_name(url), info) if info.type == pafs.FileType.File else None


def list_files(url: str) -> list[RemoteFile]:
    """Return all files of a folder and of those below it, in the order of `paths.walk_files`.

    Raises:
        DataError: The store cannot be reached or refuses.
    """
    system, path = _place(url)
    with _translated(url):
        infos = system.get_file_info(pafs.FileSelector(path, recursive=True))
    names = {info.path[len(path) :].lstrip("/"): info for info in infos if info.is_file}
    return [_file(f"{url}/{name}", name, names[name]) for name in sorted(names, key=_order)]


def read_url(url: str) -> bytes:
    """Return the bytes of an image.

    Raises:
        UnreadableImage: It does not exist, or access to it is denied.
        DataError: The store cannot be reached.
    """
    try:
        system, path = _place(url)
        with _translated(url), system.open_input_file(path) as file:
            content: bytes = file.read()
            return content
    except Unavailable:
        raise
    except DataError as error:
        raise UnreadableImage(url, _reason(url, error)) from None


def fetch(file: RemoteFile, staging: Path) -> Path:
    """Copy a file into a folder of the staging folder, unless that was done before.

    Raises:
        DataError: It cannot be read, or there is not enough space.
    """
    known = digest({"url": file.url, "size": file.size, "changed": file.changed})
    target = staging / "remote" / known / url_name(file.url)
    if not target.exists():
        try:
            with atomic_create(target) as partial, partial.open("wb") as copy:
                copy.writelines(_chunks(file.url))
        except OSError as error:
            raise DataError(
                f"'{file.url}' cannot be copied to '{target.parent}': {error.strerror}. Free some "
                "space, or choose another folder with --cache."
            ) from None
    return target


def upload(file: Path, url: str) -> None:
    """Copy a local file to a URL.

    Raises:
        DataError: The store cannot be reached or refuses.
    """
    system, path = _place(url)
    with _translated(url):  # Not a stream, which would complete the object after Ctrl-C.
        pafs.copy_files(str(file), path, pafs.LocalFileSystem(), system)


def check_writable(url: str) -> None:
    """Check that a file can be written to a URL, by writing an empty one beside it for a moment.

    Raises:
        DataError: It cannot.
    """
    system, path = _place(f"{url}.partial")
    with _translated(url):
        system.open_output_stream(path).close()
        system.delete_file(path)


def folders_in(url: str) -> list[str]:
    """Return the names of the folders of a folder.

    Raises:
        DataError: The store cannot be reached or refuses.
    """
    system, path = _place(url)
    with _translated(url):
        found = system.get_file_info(pafs.FileSelector(path))
    return sorted(info.base_name for info in found if info.type == pafs.FileType.Directory)


def remove_folder(url: str) -> None:
    """Delete a folder with all that is in it, if it exists.

    Raises:
        DataError: The store cannot be reached or refuses.
    """
    system, path = _place(url)
    with _translated(url):
        for info in system.get_file_info(
            pafs.FileSelector(path, recursive=True, allow_not_found=True)
        ):
            if info.is_file:
                system.delete_file(info.path)
        if system.get_file_info(path).type == pafs.FileType.Directory:
            system.delete_dir(path)


def _chunks(url: str) -> Iterator[bytes]:
    system, path = _place(url)
    with _translated(url), system.open_input_stream(path) as source:
        while chunk := source.read(_CHUNK):
            yield chunk


def _order(name: str) -> list[tuple[bool, str]]:
    """Return what sorts the files of a folder before those of the folders in it."""
    *folders, file = name.split("/")
    return [*((True, folder) for folder in folders), (False, file)]


def _file(url: str, name: str, info: pafs.FileInfo) -> RemoteFile:
    changed = info.mtime_ns or 0
    return RemoteFile(url, name, info.size or 0, changed)


def _root(url: str) -> tuple[str, str]:
    """Return the scheme and the bucket of a URL."""
    return scheme_of(url), url.partition("://")[2].partition("/")[0]


def _bucket(path: str) -> str:
    return path.partition("/")[0] or "/"


def _place(url: str) -> tuple[pafs.FileSystem, str]:
    """Return the file system of a URL, and the path in it."""
    if is_on_web(url):
        raise DataError(f"'{url}' is a URL. Download it first.")
    system, root = _opened(*_root(url))
    key = url.partition("://")[2].partition("/")[2]
    return system, f"{root.rstrip('/')}/{key}" if key else root


@cache
def _opened(scheme: str, bucket: str) -> tuple[pafs.FileSystem, str]:
    """Return the file system of a bucket, and the path of the bucket in it."""
    url = f"{scheme}://{bucket}"
    if scheme == "s3":
        return _s3(url, bucket), bucket
    try:
        found: tuple[pafs.FileSystem, str] = pafs.FileSystem.from_uri(url)
        return found
    except (pa.ArrowInvalid, ValueError, NotImplementedError):
        pass
    try:
        import fsspec  # type: ignore[import-untyped]

        system, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError):
        raise DataError(
            f"URLs such as '{url}' are not read: no file system for '{scheme}' is installed. Use "
            "an s3:// or gs:// URL, install fsspec with the package for that scheme, or copy the "
            "files to this machine."
        ) from None
    return pafs.PyFileSystem(pafs.FSSpecHandler(system)), path


def _s3(url: str, bucket: str) -> pafs.S3FileSystem:
    """Return S3, or what speaks its protocol at AWS_ENDPOINT_URL."""
    endpoint = s3_endpoint()
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        with _translated(url):
            region = "us-east-1" if endpoint else pafs.resolve_s3_region(bucket)
    return pafs.S3FileSystem(
        anonymous=os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in ("1", "true"),
        region=region,
        endpoint_override=endpoint,
        request_timeout=_READ_SECONDS,
        connect_timeout=_CONNECT_SECONDS,
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
    )


def s3_endpoint() -> str | None:
    """Return the endpoint that the environment names in place of Amazon's."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Translate whatever a file system raises; those of fsspec have errors of their own."""
    try:
        yield
    except HeadstartError:
        raise
    except FileNotFoundError:
        raise DataError(f"'{url}' does not exist.") from None
    except Exception as error:
        raise _explained(url, str(error)) from None


def _explained(url: str, text: str) -> DataError:
    if any(sign in text for sign in _NO_BUCKET):
        return _no_bucket(url)
    if any(sign in text for sign in _DENIED):
        return DataError(f"'{url}' cannot be used: access is denied. {_credentials(url)}")
    reason = (text.partition("AWS Error ")[2] or text).partition(" (Request ID")[0]
    reason = " ".join(reason.split()).rstrip(".: ")
    if any(sign in text for sign in _NETWORK):
        where = f" at {s3_endpoint()}" if scheme_of(url) == "s3" and s3_endpoint() else ""
        return Unavailable(
            f"'{url}' cannot be used: the object store{where} does not answer ({reason}). Check "
            "the network, and AWS_ENDPOINT_URL if the store is not Amazon's; then run the same "
            "command again, which keeps what is done."
        )
    return Unavailable(f"'{url}' cannot be used: {reason}.")


def _credentials(url: str) -> str:
    if (
        scheme_of(url) != "s3"
        or os.environ.get("AWS_ACCESS_KEY_ID")
        or (Path.home() / ".aws").exists()
    ):
        return "Check that the credentials may read, and for outputs and --cache write, there."
    return f"No credentials were found. {_KEYS}."


def _no_bucket(url: str) -> DataError:
    bucket = _root(url)[1]
    return DataError(f"'{url}' cannot be used: the bucket '{bucket}' does not exist.")


def _reason(url: str, error: DataError) -> str:
    """Return why a file cannot be read, without its name."""
    text = str(error).rstrip(".")
    return text.removeprefix(f"'{url}' cannot be used: ").replace(f"'{url}' does", "the file does")
