"""YOLO's classes and parts, from the YAML file of a data set or from lists of names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import yaml  # type: ignore[import-untyped]

from headstart.data.boxes.folder_files import FolderFiles
from headstart.data.boxes.labels import class_name
from headstart.data.paths import list_names
from headstart.data.split_names import split_of
from headstart.errors import DataError

_LISTS = ("obj.names", "classes.txt", "_darknet.labels", "classes.names")
_PARTS = ("train", "val", "valid", "test")
_MAX_BYTES = 4 * 2**20
_NAMES = re.compile(r"^names\s*:", re.MULTILINE)


@dataclass(frozen=True)
class YoloNames:
    """What is said of a data set beside its label files.

    Attributes:
        names: The names of the classes by their numbers; None if nothing names them.
        files: The files that name them.
        parts: Paths of folders or lists of images of each part of the split, as they are written.
        has_keypoints: Whether keypoints follow each box.
    """

    names: Mapping[int, str] | None = None
    files: tuple[Path, ...] = ()
    parts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    has_keypoints: bool = False


def is_yolo_yaml(file: Path) -> bool:
    """Return whether a YAML file names classes.

    Raises:
        DataError: It does, but cannot be parsed.
    """
    return "names" in _read_yaml(file)


def read_names(files: FolderFiles) -> YoloNames:
    """Read the names of the classes of a data set.

    Raises:
        DataError: Files of the same kind name different classes, or one cannot be parsed.
    """
    documents = {file: _read_yaml(file) for file in files.with_suffix(".yaml", ".yml")}
    named = {file: found for file, found in documents.items() if found.get("names")}
    if named:
        names = _agreed({file: _names(file, found["names"]) for file, found in named.items()})
        first = next(iter(named.values()))
        parts = {str(split_of(key)): _paths(first[key]) for key in _PARTS if key in first}
        return YoloNames(names, tuple(named), parts, "kpt_shape" in first)
    for name in _LISTS:
        if found := [file for file in files.others if file.name.lower() == name]:
            return YoloNames(_agreed({file: _listed(file) for file in found}), tuple(found))
    return YoloNames()


def _agreed(names: Mapping[Path, Mapping[int, str]]) -> Mapping[int, str]:
    (first, expected), *others = names.items()
    for file, found in others:
        if found != expected:
            raise DataError(
                f"'{first}' and '{file}' name different classes: "
                f"{list_names(list(expected.values()))}, and {list_names(list(found.values()))}. "
                "Remove one of them."
            )
    return expected


def _read_yaml(file: Path) -> Mapping[str, object]:
    """Return the values of a YAML file as texts, lists and mappings; nothing if it has none.

    Texts stay texts, so that a class "no" is not the value false.

    Raises:
        DataError: It names classes, but cannot be parsed.
    """
    try:
        if file.stat().st_size > _MAX_BYTES:
            return {}
        text = file.read_text("utf-8-sig", "replace")
    except OSError:
        return {}
    try:
        found = yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if not _NAMES.search(text):  # It is not one of YOLO's.
            return {}
        raise DataError(f"'{file}' cannot be read: {_problem(error)}.") from None
    return found if isinstance(found, dict) else {}


def _problem(error: Exception) -> str:
    """Return what is wrong with a YAML file, and in which line."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return str(error).partition("\n")[0].rstrip(".")
    mark = error.problem_mark or error.context_mark
    return f"{error.problem or error.context}{f', line {mark.line + 1}' if mark else ''}"


def _names(file: Path, value: object) -> dict[int, str]:
    """Return the names of a YAML file, which are a list or have numbers as keys."""
    pairs = value.items() if isinstance(value, dict) else enumerate(_paths(value))
    try:
        found = {int(key): name for key, name in pairs}
    except (TypeError, ValueError):
        found = {}
    if not found or not all(isinstance(name, str) for name in found.values()):
        raise DataError(
            f"The names of the classes in '{file}' are not understood. Write them as 'names: "
            "[cat, dog]'."
        )
    return {number: class_name(name) for number, name in found.items()}


def _listed(file: Path) -> dict[int, str]:
    lines = file.read_text("utf-8-sig", "replace").splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    return {number: class_name(line) for number, line in enumerate(lines)}


def _paths(value: object) -> list[str]:
    """Return a text or the texts of a list."""
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str) and text]


@dataclass(frozen=True)
class YoloParts:
    """The split that a YAML file names, as far as its paths can be found.

    Attributes:
        folders: The part of each folder.
        listed: The part of each image in a list.
    """

    folders: Mapping[Path, str] = field(default_factory=dict)
    listed: Mapping[Path, str] = field(default_factory=dict)

    @classmethod
    def of(cls, names: YoloNames, files: FolderFiles) -> "YoloParts":
        """Find folders and lists by the end of their paths, whose beginning is often wrong."""
        around = {folder for file in files.images for folder in file.parents}
        inside = [one for one in around if one != files.root and one.is_relative_to(files.root)]
        folders: dict[Path, str] = {}
        listed: dict[Path, str] = {}
        for part, paths in names.parts.items():
            for path in paths:
                if path.lower().endswith(".txt"):
                    for image in _images_in(path, files):
                        listed.setdefault(image, part)
                elif folder := _ending_like(path, inside):
                    folders.setdefault(folder, part)
        return cls(folders, listed)

    def of_image(self, image: Path) -> str | None:
        """Return the part of an image; None if it is in none."""
        if image in self.listed:
            return self.listed[image]
        return next((self.folders[one] for one in image.parents if one in self.folders), None)


def _images_in(path: str, files: FolderFiles) -> list[Path]:
    """Return the images in a list of paths."""
    found = _ending_like(path, files.with_suffix(".txt"))
    if found is None:
        return []
    lines = filter(None, map(str.strip, found.read_text("utf-8-sig", "replace").splitlines()))
    images = [files.find(line, found.parent) for line in lines]
    return [image for image, problem in images if problem is None]


def _ending_like(path: str, candidates: Sequence[Path]) -> Path | None:
    """Return the path that has the most last names in common with another; None if unclear."""
    wanted = [one for one in PurePosixPath(path.replace("\\", "/")).parts if one not in (".", "..")]
    scores = {one: _common_end(wanted, one.parts) for one in candidates}
    highest = max(scores.values(), default=0)
    best = [one for one, score in scores.items() if score == highest]
    return best[0] if highest and len(best) == 1 else None


def _common_end(first: Sequence[str], second: Sequence[str]) -> int:
    count = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one.casefold() != other.casefold():
            break
        count += 1
    return count
