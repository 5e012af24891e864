"""Find the files that the paths in a table mean."""

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from posixpath import normpath
from urllib.parse import urlsplit
from urllib.request import url2pathname

from headstart.data.formats import SUFFIXES
from headstart.data.manifest import Entry
from headstart.data.medical.files import is_nifti
from headstart.data.medical.headers import DicomIndex
from headstart.data.paths import walk_files
from headstart.errors import DataError
from headstart.urls import is_on_web, is_url, url_of

# Files that are looked at to find where the images of a table are.
_SEARCHED = 100_000


class Locator:
    """Finds files relative to the folder of a table.

    Args:
        folder: The folder, or its URL in an object store, where files are not looked for: whether
            one exists is seen when it is read.
    """

    def __init__(self, folder: Path | str) -> None:
        self._url = url_of(folder)
        self._folder = Path(folder)
        self._by_stem = cache(_files_by_stem)

    def find_all(self, text: str) -> list[tuple[str, str, str | None]]:
        """Return the images that a cell means: their names, paths, and problems.

        Besides paths, these are DICOM files below the folder by their SOPInstanceUID or their name,
        and all of a StudyInstanceUID.
        """
        path, problem = self.find(text)
        is_path = "/" in _slashed(text)
        if problem is None or is_path or not problem.endswith("does not exist"):
            return [(text, path, problem)]
        study, files = self._dicom.find(text)
        if not files:
            return [(text, path, problem)]
        if len(files) > 1 and not study:
            return [(text, path, f"{len(files)} files have this name or UID")]
        return [(file.relative_to(self._folder).as_posix(), str(file), None) for file in files]

    @cached_property
    def _dicom(self) -> DicomIndex:
        return DicomIndex.of(self._folder)

    def find(self, text: str) -> tuple[str, str | None]:
        """Return the path of the file that a cell means, and the problem if there is no such file.

        Backslashes may separate folders, the suffix may be missing, and "file://" may come first.
        """
        if text.lower().startswith("file://"):
            text = url2pathname(urlsplit(text).path)
        if is_url(text):
            return text, _url_problem(text)
        if self._url:
            return _below(self._url, _slashed(text)), None
        for written in dict.fromkeys((text, *_spellings(text), *_spellings(_slashed(text)))):
            if _exists(path := self._folder / written):
                return str(path), None
        path = self._folder / _slashed(text)
        matches = self._by_stem(path.parent).get(path.name, [])
        if len(matches) == 1:
            return str(matches[0]), None
        if matches:
            names = " and ".join(file.name for file in matches)
            return str(path), f"several files have this name: {names}"
        return str(path), f"the file '{path}' does not exist"


def check_some_exist(table: Path, entries: Sequence[Entry]) -> None:
    """Reject a table whose images all do not exist, with the likely reason.

    Raises:
        DataError: None of the files exist.
    """
    missing = [entry for entry in entries if (entry.rejected or "").endswith("does not exist")]
    if not entries or len(missing) < len(entries):
        return
    first = missing[0]
    raise DataError(
        f"None of the files in the table '{table}' exist. The first was looked for as "
        f"'{first.path}'.{_likely_fix(table.parent, first)}"
    )


def _likely_fix(folder: Path, entry: Entry) -> str:
    """Return where a file of such a name is, if there is one below the folder of the table.

    Its suffix may be another one, or it may be written with other capitals.
    """
    path = Path(entry.path.casefold())
    names = {path.name, path.stem} if path.suffix in SUFFIXES else {path.name}
    for number, file in enumerate(walk_files(folder, on_unreadable=lambda _: None)):
        name = Path(file.name.casefold())
        if name.name in names or (name.stem in names and name.suffix in SUFFIXES):
            found = file.relative_to(folder).as_posix()
            return f" There is '{found}': change the paths in the table to match."
        if number >= _SEARCHED:
            break
    return " Paths in a table are relative to its folder."


def _below(url: str, path: str) -> str:
    """Return the URL of a path relative to a folder; ".." is the folder above."""
    scheme, _, folder = url.partition("://")
    return f"{scheme}://{normpath(f'{folder}/{path}')}"


def _url_problem(url: str) -> str | None:
    if is_on_web(url):
        return "it is a URL; download the image and use the path of the file"
    from headstart.data.remote import url_problem  # Arrow's file systems are slow to import.

    return url_problem(url)


def _files_by_stem(folder: Path) -> dict[str, list[Path]]:
    """Return the image files of a folder by their names without suffix."""
    found: dict[str, list[Path]] = defaultdict(list)
    try:
        for file in sorted(folder.iterdir()):
            if file.suffix.lower() in SUFFIXES:
                found[file.stem].append(file)
            elif is_nifti(file):
                found[file.name[: -len(".nii.gz")]].append(file)
    except OSError:
        return {}
    return found


def _spellings(text: str) -> tuple[str, str]:
    """Return both Unicode forms of a name, which look the same."""
    return unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)


def _slashed(text: str) -> str:
    return text.replace("\\", "/")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # Reading it will say why.
        return True
