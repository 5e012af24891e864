"""List the images of a folder of class folders."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from headstart.data.formats import format_problem, is_image_file
from headstart.data.labels import normalised
from headstart.data.layouts import Layout, Node, Parts, understand
from headstart.data.listing import Source, data_name
from headstart.data.manifest import Entry
from headstart.data.paths import is_skipped, list_names, printable, walk_files
from headstart.errors import DataError

_TABLES = (".csv", ".tsv", ".parquet")


def list_folder(folder: Path, data: Path, known: Collection[str] = ()) -> Source:
    """List the images of a folder of class folders, or of split folders of class folders.

    Args:
        folder: The folder.
        data: What the user passed: the folder, or the archive that it was unpacked from.
        known: The classes of a trained model, if there is one.

    Raises:
        DataError: It cannot be read, has no class folders, or it is unclear which they are.
    """
    found = _find(folder)
    if not found.images and found.tables:
        raise DataError(
            f"'{data}' has no images, but tables. Pass one of them: {list_names(found.tables)}."
        )
    layout = understand(data, Node.of(found.images), known)
    used = [parts for parts in found.images if not layout.is_left_out(parts)]
    entries = [_entry(folder.joinpath(*parts), layout, parts) for parts in used]
    if used and not any(layout.place(parts)[0] for parts in used):
        raise _no_class_folders(data, found)
    empty = _empty_class_folders(folder, layout, {entry.label for entry in entries})
    return Source(
        data_name(data),
        entries,
        tuple(_understood(layout, found)),
        tuple(_warnings(layout, found, empty)),
    )


@dataclass
class _Found:
    """The files of a folder.

    Attributes:
        images: Image files, as parts of their paths.
        others: The number of other files, by suffix.
        tables: Tables directly in the folder.
        unreadable: Folders that cannot be read, with the reason.
    """

    images: list[Parts] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    tables: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def _find(folder: Path) -> _Found:
    found = _Found()

    def note(error: OSError) -> None:
        name = Path(error.filename).relative_to(folder).as_posix()
        found.unreadable.append(f"'{printable(name)}' ({error.strerror})")

    for file in walk_files(folder, on_unreadable=note):
        parts = file.relative_to(folder).parts
        if is_image_file(file):
            found.images.append(parts)
        else:
            found.others[printable(file.suffix.lower()) or "without suffix"] += 1
            if len(parts) == 1 and file.suffix.lower() in _TABLES:
                found.tables.append(file.name)
    return found


def _entry(file: Path, layout: Layout, parts: Parts) -> Entry:
    name = "/".join(layout.inside(parts))
    if problem := name_problem("/".join(parts)):
        return Entry(printable(name), printable(str(file)), rejected=problem)
    label, split = layout.place(parts)
    if label is None:
        return Entry(name, str(file), split=split, rejected="it is not in a class folder")
    return Entry(name, str(file), normalised(label), split, rejected=format_problem(file))


def name_problem(name: str) -> str | None:
    """Return why a name cannot be used; None if it can."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not valid UTF-8; rename it"
    return None


def _no_class_folders(data: Path, found: _Found) -> DataError:
    if found.tables:
        table = data / found.tables[0]
        return DataError(
            f"'{data}' has images but no class folders. If '{found.tables[0]}' has their labels, "
            f"pass '{table}' instead."
        )
    return DataError(
        f"'{data}' has images but no class folders. Put each image into a folder named "
        "after its class, or pass a CSV file with the columns 'path' and 'label'."
    )


def _understood(layout: Layout, found: _Found) -> list[str]:
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
        sentences.append("Labels: folders. Split: made by Headstart.")
    if found.others:
        counts = ", ".join(f"{count:,} {suffix}" for suffix, count in found.others.most_common(5))
        sentences.append(f"Files that are not images: {counts}.")
    return sentences


def _warnings(layout: Layout, found: _Found, empty: list[str]) -> list[str]:
    """Describe what was left out."""
    warnings = [
        f"Left out: '{printable('/'.join(parts))}' ({count:,} image{'s' if count > 1 else ''}), "
        "which is neither a class nor a labelled part of the split."
        for parts, count in layout.left_out.items()
    ]
    if found.unreadable:
        warnings.append(f"Left out, because they cannot be read: {', '.join(found.unreadable)}.")
    if empty:
        warnings.append(f"Left out, because they have no images: {list_names(empty)}.")
    return warnings


def _empty_class_folders(folder: Path, layout: Layout, labels: set[str | None]) -> list[str]:
    """Return the names of folders beside the classes that have no images."""
    names = set()
    for parts in layout.class_folders():
        try:
            children = list(folder.joinpath(*parts).iterdir())
        except OSError:
            continue
        names |= {
            normalised(child.name)
            for child in children
            if not is_skipped(child.name) and not name_problem(child.name) and child.is_dir()
        }
    return sorted(names - labels - {normalised(parts[-1]) for parts in layout.left_out})
