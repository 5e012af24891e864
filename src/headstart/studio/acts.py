"""What a person does in a project, as rows of its journal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from headstart.json_log import JsonRow


@dataclass(frozen=True)
class Found:
    """An image that is added.

    Attributes:
        image: Its path within the project, with slashes.
        labels: What it shows, as far as that is known.
        group: Images of a group never span a split; "" if it is alone.
        split: "train", "val" or "test", if its folder says so; else "".
    """

    image: str
    labels: tuple[str, ...] = ()
    group: str = ""
    split: str = ""

    def to_json(self) -> JsonRow:
        """Return plain JSON values."""
        return {**vars(self), "labels": list(self.labels)}


@dataclass(frozen=True)
class Add:
    """Adds images, and the classes of their labels."""

    found: tuple[Found, ...]

    def to_json(self) -> JsonRow:
        """Return plain JSON values."""
        return {"act": "add", "found": [each.to_json() for each in self.found]}


@dataclass(frozen=True)
class Label:
    """Replaces the labels of images; () says that nobody knows."""

    labels: Mapping[str, tuple[str, ...]]

    def to_json(self) -> JsonRow:
        """Return plain JSON values."""
        return {"act": "label", "labels": {name: list(own) for name, own in self.labels.items()}}


@dataclass(frozen=True)
class AddClass:
    """Adds a class without images."""

    name: str

    def to_json(self) -> JsonRow:
        """Return plain JSON values."""
        return {"act": "add_class", "name": self.name}


@dataclass(frozen=True)
class RenameClass:
    """Gives a class another name; if that exists, the two are merged."""

    name: str
    new: str

    def to_json(self) -> JsonRow:
        """Return plain JSON values."""
        return {"act": "rename_class", "name": self.name, "new": self.new}


@dataclass(frozen=True)
class RemoveClass:
    """Removes a class; its images no longer have that label."""

    name: str

    def to_json(self) -> JsonRow:
        """Return plain JSON values."""
        return {"act": "remove_class", "name": self.name}


@dataclass(frozen=True)
class Drop:
    """Leaves images out, or takes them in again; their files stay."""

    images: tuple[str, ...]
    dropped: bool = True

    def to_json(self) -> JsonRow:
        """Return plain JSON values."""
        return {"act": "drop", "images": list(self.images), "dropped": self.dropped}


@dataclass(frozen=True)
class Undo:
    """Takes the last act back."""

    def to_json(self) -> JsonRow:
        """Return plain JSON values."""
        return {"act": "undo"}


@dataclass(frozen=True)
class Redo:
    """Does again what was taken back last."""

    def to_json(self) -> JsonRow:
        """Return plain JSON values."""
        return {"act": "redo"}


Act = Add | Label | AddClass | RenameClass | RemoveClass | Drop | Undo | Redo


def act_of(row: JsonRow) -> Act:
    """Read a row of a journal.

    Raises:
        KeyError, TypeError: It is none that this version knows.
    """
    return _READERS[_text(row["act"])](row)


def _found(value: object) -> Found:
    if not isinstance(value, dict):
        raise TypeError
    image, group, split = (_text(value[name]) for name in ("image", "group", "split"))
    return Found(image, _texts(value["labels"]), group, split)


def _label(row: JsonRow) -> Label:
    labels = row["labels"]
    if not isinstance(labels, dict):
        raise TypeError
    return Label({name: _texts(own) for name, own in labels.items()})


def _add(row: JsonRow) -> Add:
    return Add(tuple(map(_found, _listed(row["found"]))))


_READERS: dict[str, Callable[[JsonRow], Act]] = {
    "add": _add,
    "label": _label,
    "add_class": lambda row: AddClass(_text(row["name"])),
    "rename_class": lambda row: RenameClass(_text(row["name"]), _text(row["new"])),
    "remove_class": lambda row: RemoveClass(_text(row["name"])),
    "drop": lambda row: Drop(_texts(row["images"]), bool(row["dropped"])),
    "undo": lambda _: Undo(),
    "redo": lambda _: Redo(),
}


def _listed(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(_text, _listed(value)))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
