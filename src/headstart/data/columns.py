"""The meaning of a table's columns, by their usual names. No split is ignored in silence."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headstart.data.formats import SUFFIXES
from headstart.data.interpretation import Interpretation
from headstart.data.label_cells import FALSE, TRUE
from headstart.data.label_columns import named_label_columns
from headstart.data.labels import cell_text, normalised
from headstart.data.path_groups import is_path_pattern
from headstart.data.split_names import split_of
from headstart.errors import DataError, OptionError, suggestion
from headstart.options import TaskOption

# In order of preference, without capitals, spaces and punctuation.
_IMAGE = (
    *("path", "image", "filepath", "imagepath", "imgpath", "filename", "imagename", "imgname"),
    *("file", "imagefile", "img", "imageid", "imgid", "photo", "picture", "files", "images"),
    *("sopinstanceuid", "sopuid", "imageuid", "dicomid", "dicom", "studyinstanceuid", "studyuid"),
)
_LABEL = (
    *("label", "class", "target", "category", "classname", "labelname", "classlabel"),
    "categoryname",
)
_LABELS = "labels"
_SPLIT = ("split", "set", "subset", "partition", "datasplit")
_FLAGS = {
    **dict.fromkeys(("isvalid", "isval", "isvalidation"), "val"),
    **dict.fromkeys(("istrain", "istraining"), "train"),
    "istest": "test",
}
_FOLD = ("fold", "folds", "kfold", "cvfold", "foldid", "foldno", "cvsplit")
_GROUP = ("group", "groupid", "patient", "patientid", "subject", "subjectid")

# The words of names of columns that may be groups.
_SUBJECTS = (
    *("patient", "subject", "person", "participant", "individual", "animal", "donor", "case"),
    *("study", "lesion", "specimen", "slide", "session", "video", "sequence", "series", "burst"),
)
_IDENTIFIERS = ("id", "uid", "no", "nr", "num", "number", "code", "name", "key", "identifier")

# What no pattern of --labels matches.
_OTHERS = {*_IMAGE, *_LABEL, _LABELS, *_SPLIT, *_FLAGS, *_FOLD, *_GROUP}

_SPLIT_WORDS = ("split", "fold", "partition", "subset")


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are used.

    Attributes:
        image: The path or the bytes of the image.
        labels: The class, or the labels of an image; several columns have one label each.
        one_each: Whether each column of `labels` has one label, after which it is named.
        split: Either one column of the names of the parts, or flags such as `is_test`: the part
            that each flag stands for, by the column's name. Empty without a split.
        group: The images that must stay together; None if there is no such column.
        unused: All others.
        slices: By what results are sliced.
        guessed_group: Without a column of the groups, an unused one that looks like it by its name;
            None if there is none.
    """

    image: str
    labels: tuple[str, ...]
    one_each: bool
    split: Mapping[str, str | None]
    group: str | None
    unused: tuple[str, ...]
    slices: tuple[str, ...] = ()
    guessed_group: str | None = None

    @property
    def used(self) -> list[str]:
        """The names of the columns to read."""
        groups = [name for name in (self.group, self.guessed_group) if name]
        names = [self.image, *self.labels, *self.split, *groups, *self.slices]
        return list(dict.fromkeys(names))

    @property
    def is_plural(self) -> bool:
        """Whether the column of the labels is for several labels by its name."""
        return not self.one_each and column_key(self.labels[0]) == _LABELS

    def split_of(self, row: Mapping[str, object]) -> str | None:
        """Return the part of the split that a row belongs to; None if it names none.

        Raises:
            ValueError: A cell is neither the name of a part nor, in a flag's column, yes or no.
        """
        given = [_part(row[name], name, flag) for name, flag in self.split.items()]
        parts = set(filter(None, given))
        if len(parts) > 1:
            raise ValueError(f"it is marked as {' and as '.join(sorted(parts))}")
        if not parts and any(part is not None for part in given):  # Every flag says no.
            return "test" if list(self.split.values()) == ["train"] else "train"
        return parts.pop() if parts else None


def choose_columns(
    path: Path,
    names: Sequence[str],
    interpretation: Interpretation,
    *,
    values: Callable[[str], Sequence[str]],
    label: str | None = None,
) -> Columns:
    """Choose the columns of a table by their names, in any case and with their usual synonyms.

    Args:
        path: The table, for error messages.
        names: All columns.
        interpretation: What the user says about the columns. The classes of a trained model may be
            columns with one label each.
        values: Returns the different values of a column, or nothing if there are many.
        label: The column of the labels, if it is not to be found by its name.

    Raises:
        DataError: A column is missing, named twice or ambiguous, or looks like a split but cannot
            be used as one.
        OptionError: The group, a slice or a column of the labels is not a column.
    """
    group, task = interpretation.group, interpretation.labelling.task
    _check_unique(path, names)
    named = _columns_of_labels(path, names, interpretation)
    labels = named or (label or _label_column(path, names, task),)
    image = _image_column(path, names)
    if image in named:
        raise OptionError(
            f"--labels names '{image}', which is the column of the images of '{path}'."
        )
    split = _split_columns(path, [name for name in names if name not in (image, *labels)], values)
    grouping = _grouping(path, names, group)
    sliced = tuple(
        dict.fromkeys(_named(path, names, name, "slices") for name in interpretation.slices)
    )
    if image in sliced:
        raise OptionError(
            f"--slices names '{image}', which is the column of the images of '{path}'."
        )
    if both := [name for name in sliced if name in labels]:
        raise OptionError(
            f"--slices names '{both[0]}', which is a column of the labels of '{path}'."
        )
    used = {image, *labels, grouping, *split, *sliced, ""}
    unused = tuple(name for name in names if name not in used)
    guessed = None if grouping or group else next(filter(_may_be_groups, unused), None)
    return Columns(image, labels, bool(named), split, grouping, unused, sliced, guessed)


def choose_image_column(path: Path, names: Sequence[str]) -> str:
    """Choose the column of the images of a table whose labels are not needed.

    Raises:
        DataError: There is none, or a column is named twice.
    """
    _check_unique(path, names)
    return _image_column(path, names)


def _check_unique(path: Path, names: Sequence[str]) -> None:
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        raise DataError(f"Table '{path}' has the column '{repeated[0]}' more than once.")


def _image_column(path: Path, names: Sequence[str]) -> str:
    if (image := _find(names, _IMAGE)) is None:
        raise _missing(path, names, "path", "image")
    return image


def _columns_of_labels(
    path: Path, names: Sequence[str], interpretation: Interpretation
) -> tuple[str, ...]:
    """Return the columns with one label each: those that the user names, or a model's labels."""
    labelling, others = interpretation.labelling, (interpretation.group, *interpretation.slices)
    if labelling.labels is not None:
        reserved = {name for name in names if column_key(name) in _OTHERS or name in others}
        return named_label_columns(path, names, labelling.labels, reserved)
    if labelling.task != "multi" or any(column_key(name) in (*_LABEL, _LABELS) for name in names):
        return ()
    return tuple(name for name in names if normalised(name) in labelling.known)


def column_key(name: str) -> str:
    """Return a column's name without capitals, spaces and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _find(names: Iterable[str], known: Sequence[str]) -> str | None:
    """Return the column with the most preferred of the known names."""
    found = [name for name in names if column_key(name) in known]
    return min(found, key=lambda name: known.index(column_key(name)), default=None)


def _named(path: Path, names: Sequence[str], wanted: str, option: str) -> str:
    """Return the column that the user named in an option; its case does not matter."""
    if wanted in names:
        return wanted
    alike = [name for name in names if name.lower() == wanted.lower()]
    if len(alike) == 1:
        return alike[0]
    raise OptionError(
        f"--{option} '{wanted}' is not a column of '{path}'. It has: {', '.join(names)}."
    )


def _missing(path: Path, names: Sequence[str], *wanted: str) -> DataError:
    columns = " or ".join(f"'{name}'" for name in wanted)
    if any(Path(name).suffix.lower() in SUFFIXES for name in names):
        return DataError(
            f"Table '{path}' has no line with the names of its columns. Insert a first line such "
            "as 'path,label'."
        )
    hint = suggestion(wanted[0], names)
    several = " If each label has a column, pass --labels." if wanted[0] == "label" else ""
    return DataError(
        f"Table '{path}' has no column {columns}.{hint} It has: {', '.join(filter(None, names))}. "
        f"Rename the right one to '{wanted[0]}'.{several}"
    )


def _label_column(path: Path, names: Sequence[str], task: TaskOption) -> str:
    """Return the column of the classes, or that of several labels."""
    found = [name for name in names if column_key(name) in _LABEL]
    several = _find(names, (_LABELS,))
    exact = [name for name in found if column_key(name) == "label"]
    if several and found and task == "auto":
        raise DataError(
            f"Table '{path}' has the columns '{found[0]}' and '{several}'. Pass --task single to "
            f"use '{found[0]}', or --task multi to use '{several}'."
        )
    if several and (task != "single" or not found):
        return several
    if not found:
        raise _missing(path, names, "label")
    if len(found) > 1 and len(exact) != 1:
        raise DataError(
            f"Table '{path}' has several columns that may be the label: {', '.join(found)}. "
            "Rename the right one to 'label'."
        )
    return exact[0] if exact else found[0]


def _may_be_groups(name: str) -> bool:
    """Return whether a column names a subject of images, such as "patient_no" or "CaseID"."""
    words = _words(name)
    others = [word for word in words if word not in _SUBJECTS]
    return len(others) < len(words) and all(word in _IDENTIFIERS for word in others)


def _grouping(path: Path, names: Sequence[str], group: str | None) -> str | None:
    """Return the column of the groups; None without one, or if the user groups by the path."""
    if group is None:
        return _group_column(path, names)
    if group not in names and is_path_pattern(group):
        return None
    return _named(path, names, group, "group")


def _group_column(path: Path, names: Sequence[str]) -> str | None:
    found = [name for name in names if column_key(name) in _GROUP]
    exact = [name for name in found if column_key(name) == "group"]
    if len(found) > 1 and len(exact) != 1:
        raise DataError(
            f"Table '{path}' has several columns that may be the groups: {', '.join(found)}. Pass "
            f"--group '{found[0]}', for example."
        )
    return next(iter(exact or found), None)


def _split_columns(
    path: Path, names: Sequence[str], values: Callable[[str], Sequence[str]]
) -> dict[str, str | None]:
    """Return the column of the split, or its flags."""
    if (exact := _find(names, _SPLIT[:1])) is not None:
        return {exact: None}
    flags: dict[str, str | None] = {
        name: _FLAGS[column_key(name)] for name in names if column_key(name) in _FLAGS
    }
    others = [
        name
        for name in names
        if name not in flags and (column_key(name) in _SPLIT or _are_parts(values(name)))
    ]
    if len(others) + bool(flags) > 1:
        raise DataError(
            f"Table '{path}' has several columns that may be its split: "
            f"{', '.join([*flags, *others])}. Rename the right one to 'split'."
        )
    if flags or others:
        return flags or {others[0]: None}
    _check_no_split_is_lost(path, names, values)
    return {}


def _are_parts(values: Sequence[str]) -> bool:
    """Return whether the values of a column are names of parts, as in a split."""
    parts = {split_of(value) for value in values}
    return len(parts) > 1 and "train" in parts and None not in parts


def _are_flags(values: Sequence[str]) -> bool:
    """Return whether the values of a column are all true or false."""
    return bool(values) and all(value.lower() in TRUE + FALSE for value in values)


def _check_no_split_is_lost(
    path: Path, names: Sequence[str], values: Callable[[str], Sequence[str]]
) -> None:
    if (fold := _find(names, _FOLD)) is not None:
        raise DataError(
            f"The column '{fold}' of '{path}' numbers the folds of a cross-validation, which "
            "Headstart does not take from a table. Choose a fold as test part: add a column "
            f"'split' with 'test' for it and 'train' for the others. Or remove '{fold}', to let "
            "Headstart hold out test images."
        )
    for name in names:
        named = split_of(name) or any(word in _SPLIT_WORDS for word in _words(name))
        flag = any(map(split_of, _words(name))) and _are_flags(values(name))
        other = _value_beside_parts(values(name))
        if named or flag or other:
            but = f", but has the value '{other}'" if other else ""
            raise DataError(
                f"The column '{name}' of '{path}' looks like a split{but}. Rename it to 'split' "
                "and use the values train, val and test, or remove it."
            )


def _value_beside_parts(values: Sequence[str]) -> str | None:
    """Return a value that does not name a part, if another one names the training part."""
    parts = {value: split_of(value) for value in values}
    others = (value for value, part in parts.items() if part is None)
    return next(others, None) if "train" in parts.values() else None


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())


def _part(cell: object, name: str, flag: str | None) -> str | None:
    """Return the part that a cell names, "" if a flag says no, and None for a missing cell."""
    text = cell_text(cell)
    if text is None:
        return None
    if flag is None:
        part = split_of(text)
        if part is None:
            raise ValueError(f"'{text}' is not train, val or test")
        return part
    if text.lower() not in TRUE + FALSE:
        raise ValueError(f"'{text}' in {name} is neither true nor false")
    return flag if text.lower() in TRUE else ""
