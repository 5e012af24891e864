"""The images that tasks name: files of one folder, or downloads from one Label Studio."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from headstart.data.formats import SUFFIXES
from headstart.data.paths import printable
from headstart.errors import reason_of
from headstart.files import write_atomically
from headstart.server.label_studio.host import KEY, URL, Host, Unavailable

_KEPT = "kept:"
_UPLOADED, _LOCAL = "/data/upload/", "/data/local-files"


@dataclass(frozen=True)
class Images:
    """Reads the images that tasks name. No other host is ever asked, and no other folder read.

    Attributes:
        limit: The size of an image, in bytes.
        files: The folder of Label Studio's local files or of its uploaded ones; None for none.
        host: Where to download from; None for nowhere.
        kept: The folder for images to train on that are not files; None if none are kept.
    """

    limit: int
    files: Path | None = None
    host: Host | None = None
    kept: Path | None = None

    def read(self, name: str) -> bytes:
        """Return the content of the file of an image.

        Raises:
            Unavailable: It is not in the folder or at the host, or is too large.
        """
        if name.startswith("data:"):
            return self._embedded(name)
        if (file := self._kept_file(name)) is not None and file.is_file():
            return self._content(file)
        if (file := self._file(name)) is not None:
            return self._content(file)
        return self._download(name)

    def file(self, name: str) -> Path:
        """Return the file of an image to train on, which is downloaded once if there is none.

        Raises:
            Unavailable: As `read`.
        """
        kept = self._kept_file(name)
        if kept is not None and kept.is_file():
            return kept
        if (file := self._file(name)) is not None:
            return file
        if kept is None or name.startswith(_KEPT):
            raise Unavailable("it is no longer in the folder of the project")
        self._write(kept, self._download(name))
        return kept

    def keep(self, name: str) -> str:
        """Return the name under which an annotated image is found again.

        An image that is a part of the task itself is written to the folder for that.

        Raises:
            Unavailable: It cannot be decoded or written.
        """
        if not name.startswith("data:") or self.kept is None:
            return name
        key = f"{_KEPT}{hashlib.sha256(name.encode()).hexdigest()}"
        file = self._kept_file(key)
        if file is not None and not file.is_file():
            self._write(file, self._embedded(name))
        return key

    def _kept_file(self, name: str) -> Path | None:
        """Return where an image is kept, by the hash of its name."""
        if self.kept is None:
            return None
        if name.startswith(_KEPT):
            digest = name.removeprefix(_KEPT)
            return self.kept / digest if digest.isalnum() else None
        path = _path_within(name) or name.partition("?")[0]
        suffix = PurePosixPath(path).suffix.lower()
        digest = hashlib.sha256(name.encode(errors="replace")).hexdigest()
        return self.kept / f"{digest}{suffix if suffix in SUFFIXES else ''}"

    def _file(self, name: str) -> Path | None:
        """Return the file of an image in the folder; None if there is none."""
        if self.files is None:
            return None
        root = self.files.resolve()
        for path in _paths(self._local(name)):
            try:
                file = (root / path).resolve()
                if file.is_relative_to(root) and file.is_file():
                    return file
            except (OSError, ValueError):  # A name that no file can have.
                continue
        return None

    def _local(self, name: str) -> str:
        """Return a name without the address of the one Label Studio."""
        return (self.host and self.host.path(name)) or name

    def _content(self, file: Path) -> bytes:
        try:
            with file.open("rb") as opened:
                data = opened.read(self.limit + 1)
        except OSError as error:
            raise Unavailable(reason_of(error)) from None
        if len(data) > self.limit:
            raise Unavailable(f"it has more than {self.limit / 1e6:,.0f} MB, which is the limit")
        return data

    def _download(self, name: str) -> bytes:
        path = self._local(name)
        if not path.startswith("/") or path.startswith("//"):
            raise Unavailable(
                f"only files in --label-studio-files and images of the Label Studio in {URL} "
                "are read"
            )
        if self.host is None:
            raise Unavailable(
                f"it is not in --label-studio-files, and {URL} and {KEY} do not say where to "
                "download it from"
            )
        return self.host.image(path, self.limit)

    def _embedded(self, name: str) -> bytes:
        head, _, text = name.partition(",")
        if not head.endswith(";base64"):
            raise Unavailable("its data URL is not in Base64")
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise Unavailable("its data URL is not in Base64") from None

    def _write(self, file: Path, data: bytes) -> None:
        try:
            write_atomically(file, data)
        except OSError as error:
            raise Unavailable(f"it cannot be written: {reason_of(error)}") from None


def short_name(name: str) -> str:
    """Return the name of an image for the log: without a secret that a URL may have, and short."""
    if name.startswith("data:"):
        return "data URL"
    shown = name if name.startswith(_LOCAL) else name.partition("?")[0]
    return printable(shown[:200])


def _path_within(name: str) -> str | None:
    """Return the path in a name of a local file, /data/local-files/?d=PATH; None for others."""
    try:
        parts = urlsplit(name)
    except ValueError:
        return None
    if not parts.path.startswith(_LOCAL):
        return None
    return parse_qs(parts.query).get("d", [""])[0] or None


def _paths(name: str) -> Iterator[str]:
    """Yield the paths, in the folder, that a name may mean."""
    if (path := _path_within(name)) is not None:
        yield path
    elif name.startswith(_UPLOADED):
        uploaded = unquote(name.removeprefix("/data/").partition("?")[0])
        yield from (uploaded, f"media/{uploaded}", uploaded.removeprefix("upload/"))
    elif "://" not in name:
        yield name
