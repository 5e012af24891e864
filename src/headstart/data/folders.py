"""List the images of a folder of class folders."""

import os
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath, PurePosixPath

from headstart.data.formats import (
    format_problem,
    is_image_file,
    is_named_like_image,
    is_table,
)
from headstart.data.labels import normalised
from headstart.data.layouts import Layout, Node, Parts, understand
from headstart.data.listing import Source
from headstart.data.manifest import Entry
from headstart.data.paths import data_name, is_skipped, list_names, printable, walk_files
from headstart.errors import DataError
from headstart.urls import is_url

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
_SHOWN_SUFFIXES = 5


Lost = Callable[[Layout, Collection[str]], list[str]]
"""Returns the names of folders beside the classes that are not read or have no images."""


def list_folder(folder: Path, data: str | os.PathLike[str], known: Collection[str] = ()) -> Source:
    """List the images of a folder of class folders, or of split folders of class folders.

    Args:
        folder: The folder.
        data: What the user passed: the folder, or the archive that it was unpacked from.
        known: The classes of a trained model, if there is one.

    Raises:
        DataError: It cannot be read, has no class folders, or it is unclear which they are.
    """
    lost = partial(_folders_without_images, folder)
    return _source(_find(folder), data, known, lambda parts: str(folder.joinpath(*parts)), lost)


def list_listed(names: Sequence[str], url: str, known: Collection[str] = ()) -> Source:
    """List the images of a folder in an object store; see `list_folder`.

    Args:
        names: The paths of all files in it.
        url: Its URL.
        known: The classes of a trained model, if there is one.

    Raises:
        DataError: See `list_folder`.
    """
    found = _Found()
    for name in names:
        *folders, file = name.split("/")
        if not (file.startswith(".") or any(map(is_skipped, folders))):
            found.add(PurePosixPath(name), is_image=is_named_like_image(file))
    return _source(found, url, known, lambda parts: "/".join((url, *parts)), lambda *_: [])


def _source(
    found: "_Found",
    data: str | os.PathLike[str],
    known: Collection[str],
    path_of: Callable[[Parts], str],
    lost: Lost,
) -> Source:
    """Return the images of a folder by its files."""
    if not found.images:
        raise _no_images(data, found)
    try:
        layout = understand(data, Node.of(found.images), known)
    except DataError as error:
        raise DataError(f"{error}{_table_hint(data, found)}") from None
    used = [parts for parts in found.images if not layout.is_left_out(parts)]
    entries = [_entry(path_of(parts), layout, parts) for parts in used]
    classes = {name for parts in used if (name := layout.place(parts)[0])}
    if used and not classes:
        raise _no_class_folders(data, found)
    if len(classes) == 1 and found.tables and not known:
        raise DataError(
            f"'{data}' has images in only one folder, '{printable(classes.pop())}'."
            f"{_table_hint(data, found)}"
        )
    missing = lost(layout, set(map(normalised, classes)))
    return Source(
        data_name(data),
        entries,
        tuple(_understood(layout, found, used)),
        tuple(_warnings(layout, found, missing)),
        in_folders=True,
    )


@dataclass
class _Found:
    """The files of a folder.

    Attributes:
        images: Image files, as parts of their paths.
        others: The number of other files, by suffix.
        tables: Tables, as paths within the folder.
        unreadable: Folders that cannot be read, with the reason.
        repeated: Folders that are links to others, whose names are used.
    """

    images: list[Parts] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    tables: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)

    def add(self, file: PurePath, *, is_image: bool) -> None:
        """Add a file by its path within the folder."""
        if is_image:
            self.images.append(file.parts)
            return
        self.others[printable(file.suffix.lower()) or "without suffix"] += 1
        if is_table(file):
            self.tables.append(printable(file.as_posix()))


def _find(folder: Path) -> _Found:
    found = _Found()

    def note(error: OSError) -> None:
        name = Path(error.filename).relative_to(folder).as_posix()
        found.unreadable.append(f"'{printable(name)}' ({error.strerror})")

    def note_link(link: Path) -> None:
        found.repeated.append(printable(link.relative_to(folder).as_posix()))

    for file in walk_files(folder, on_unreadable=note, on_repeated=note_link):
        found.add(file.relative_to(folder), is_image=is_image_file(file))
    return found


def _entry(file: str, layout: Layout, parts: Parts) -> Entry:
    name = "/".join(layout.inside(parts))
    if problem := name_problem("/".join(parts)):
        return Entry(printable(name), printable(file), rejected=problem)
    label, split = layout.place(parts)
    if label is None:
        return Entry(name, file, split=split, rejected="it is not in a class folder")
    return Entry(name, file, normalised(label), split, rejected=format_problem(Path(file)))


def name_problem(name: str) -> str | None:
    """Return why a name cannot be used; None if it can."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not valid UTF-8; rename it"
    return None


def _no_images(data: str | os.PathLike[str], found: _Found) -> DataError:
    if found.tables:
        shown = list_names(found.tables)
        return DataError(f"'{data}' has no images, but tables. Pass one of them: {shown}.")
    archives = Counter({name: found.others[name] for name in _ARCHIVES if name in found.others})
    if archives:
        return DataError(
            f"'{data}' has no images, but archives ({_counts(archives)}). Unpack each into a "
            "folder of its name, or pass one of them."
        )
    others = f" Its files are not images: {_counts(found.others)}." if found.others else ""
    unreadable = f" It cannot be read: {', '.join(found.unreadable)}." if found.unreadable else ""
    return DataError(
        f"'{data}' has no images.{others}{unreadable} Pass a folder with one subfolder per class, "
        "with files such as .jpg, .png, .webp or .tif in them."
    )


def _no_class_folders(data: str | os.PathLike[str], found: _Found) -> DataError:
    how = _table_hint(data, found) or (
        " Put each image into a folder named after its class, or pass a CSV file with the columns "
        "'path' and 'label'."
    )
    return DataError(f"'{data}' has images but no class folders.{how}")


def _table_hint(data: str | os.PathLike[str], found: _Found) -> str:
    """Return what to do if the labels are in one of the tables beside the images."""
    if not found.tables:
        return ""
    if is_url(os.fspath(data)) or Path(data).is_dir():
        tables = list_names([f"{os.fspath(data)}/{name}" for name in found.tables], 3)
        return f" If a table has the labels, pass it instead: {tables}."
    tables = list_names(found.tables, 3)
    return f" If a table has the labels, unpack the archive and pass the table: {tables}."


def _counts(others: Counter[str]) -> str:
    """Describe numbers of files by suffix."""
    shown = others.most_common(_SHOWN_SUFFIXES)
    rest = others.total() - sum(count for _, count in shown)
    text = ", ".join(f"{count:,} {suffix}" for suffix, count in shown)
    return text + (f" and {rest:,} with other suffixes" if rest else "")


def _understood(layout: Layout, found: _Found, used: Sequence[Parts]) -> list[str]:
    """Describe how the folders were read."""
    sentences = []
    if layout.entered:
        sentences.append(f"Data is in the folder '{printable('/'.join(layout.entered))}'.")
    folders = [f"'{name}' ({split})" for name, split in layout.splits.items()]
    if layout.splits and layout.split_first:
        sentences.append(f"Split: folders {', '.join(folders)}. Labels: the folders in them.")
    elif layout.splits:
        sentences.append(f"Labels: folders. Split: the folders in them, {', '.join(folders)}.")
    else:
        sentences.append("Labels: folders.")
    if example := next(filter(None, map(layout.below_class, used)), ()):
        name = printable("/".join(example))
        sentences.append(f"Folders in those of the classes, such as '{name}', belong to the class.")
    if found.others:
        sentences.append(f"Files that are not images: {_counts(found.others)}.")
    return sentences


def _warnings(layout: Layout, found: _Found, missing: list[str]) -> list[str]:
    """Describe what was left out."""
    warnings = [
        f"Left out: '{printable('/'.join(parts))}' ({count:,} image{'s' if count > 1 else ''}), "
        "which is neither a class nor a labelled part of the split."
        for parts, count in layout.left_out.items()
    ]
    if found.unreadable:
        warnings.append(f"Left out, because they cannot be read: {', '.join(found.unreadable)}.")
    if found.repeated:
        warnings.append(
            "Left out, because they are links to folders that are read under another name: "
            f"{list_names(found.repeated)}."
        )
    hidden = [name for name in missing if name.startswith(".")]
    if hidden:
        warnings.append(f"Left out, because they are hidden: {list_names(hidden)}.")
    if empty := [name for name in missing if name not in hidden and name not in found.repeated]:
        warnings.append(f"Left out, because they have no images: {list_names(empty)}.")
    return warnings


def _folders_without_images(folder: Path, layout: Layout, labels: Collection[str]) -> list[str]:
    """Return the names of folders beside the classes that are not read or have no images."""
    names = set()
    for parts in layout.class_folders():
        try:
            children = list(folder.joinpath(*parts).iterdir())
        except OSError:
            continue
        names |= {normalised(child.name) for child in children if _is_lost(child)}
    return sorted(names - set(labels) - {normalised(parts[-1]) for parts in layout.left_out})


def _is_lost(folder: Path) -> bool:
    """Return whether a path is a folder whose absence among the classes may be a surprise.

    Programs create hidden folders for themselves, but rarely with images in them.
    """
    if name_problem(folder.name) or not folder.is_dir():
        return False
    if not folder.name.startswith("."):
        return not is_skipped(folder.name)
    try:
        return any(map(is_image_file, folder.iterdir()))
    except OSError:
        return False
