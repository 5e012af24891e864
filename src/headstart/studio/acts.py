"""What a person does in a project, as rows of its journal."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from headstart.json_log import JsonRow

Kind = Literal["single", "multi", "boxes"]
"""What labels are: one of each image, any number of each image, or boxes in it."""

Labelled = tuple[str, ...] | None
"""The labels of an image: None before it is labelled, () if it shows none of the classes."""


@dataclass(frozen=True)
class Found:
    """An image that is added.

    Attributes:
        image: Its path within the project, with slashes.
        labels: What it shows, as far as that is known; () if it is not.
        group: Images of a group never span a split; "" if it is alone.
        split: "train", "val" or "test", if its folder says so; else "".
    """

    image: str
    labels: tuple[str, ...] = ()
    group: str = ""
    split: str = ""


@dataclass(frozen=True)
class Add:
    """Adds images, and the classes of their labels. It cannot be undone; images can be dropped."""

    found: tuple[Found, ...]
    act: Literal["add"] = "add"


@dataclass(frozen=True)
class Label:
    """Replaces the labels of images; None takes them away."""

    labels: dict[str, Labelled]
    act: Literal["label"] = "label"


@dataclass(frozen=True)
class Box:
    """A box around an object.

    Attributes:
        label: What it is.
        x1: The left edge in pixels of the image as it is seen.
        y1: The top edge.
        x2: The right edge.
        y2: The bottom edge.
    """

    label: str
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Draw:
    """Replaces the boxes in an image, which may have none; None takes them away."""

    image: str
    boxes: tuple[Box, ...] | None
    act: Literal["draw"] = "draw"


@dataclass(frozen=True)
class Keep:
    """Says that a person has looked again at the labels of images, or at copies, and keeps them."""

    images: tuple[str, ...]
    copies: bool = False
    act: Literal["keep"] = "keep"


@dataclass(frozen=True)
class SetKind:
    """Says what labels are. Images keep theirs, as far as the new kind can have them."""

    kind: Kind
    act: Literal["set_kind"] = "set_kind"


@dataclass(frozen=True)
class AddClass:
    """Adds a class without images."""

    name: str
    act: Literal["add_class"] = "add_class"


@dataclass(frozen=True)
class RenameClass:
    """Gives a class another name; if that exists, the two are merged."""

    name: str
    new: str
    act: Literal["rename_class"] = "rename_class"


@dataclass(frozen=True)
class RemoveClass:
    """Removes a class; its images no longer have that label."""

    name: str
    act: Literal["remove_class"] = "remove_class"


@dataclass(frozen=True)
class Drop:
    """Leaves images out, or takes them in again; their files stay."""

    images: tuple[str, ...]
    dropped: bool = True
    act: Literal["drop"] = "drop"


@dataclass(frozen=True)
class Undo:
    """Takes the last act back."""

    act: Literal["undo"] = "undo"


@dataclass(frozen=True)
class Redo:
    """Does again what was taken back last."""

    act: Literal["redo"] = "redo"


Act = (
    Add | Label | Draw | Keep | SetKind | AddClass | RenameClass | RemoveClass | Drop | Undo | Redo
)

_ACTS: TypeAdapter[Act] = TypeAdapter(Annotated[Act, Field(discriminator="act")])


def act_of(row: JsonRow) -> Act:
    """Read a row of a journal.

    Raises:
        ValueError: It is no act that this version knows.
    """
    return _ACTS.validate_python(row)


def row_of(act: Act) -> JsonRow:
    """Return an act as a row of a journal."""
    row: JsonRow = _ACTS.dump_python(act, mode="json")
    return row
