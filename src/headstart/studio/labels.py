"""The labels of a project, and what each act changes in them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from headstart.data.labels import SEPARATOR, cell_text, normalised
from headstart.errors import ProjectError
from headstart.studio.acts import (
    Act,
    Add,
    AddClass,
    Box,
    Draw,
    Drop,
    Found,
    Keep,
    Kind,
    Label,
    Labelled,
    Redo,
    RemoveClass,
    RenameClass,
    SetKind,
    Undo,
)


@dataclass(frozen=True)
class Item:
    """An image of a project.

    Attributes:
        labels: What it shows, sorted; None before it is labelled, () if it shows none of the
            classes.
        boxes: Where it shows them, if labels are boxes.
        group: Images of a group never span a split; "" if it is alone.
        split: "train", "val" or "test", if its folder says so; else "".
        dropped: Whether it is left out.
        kept: Whether a person has looked again at these labels.
        kept_copy: Whether it is kept although it is a copy of another image.
    """

    labels: Labelled = None
    boxes: tuple[Box, ...] = ()
    group: str = ""
    split: str = ""
    dropped: bool = False
    kept: bool = False
    kept_copy: bool = False

    @property
    def lesson(self) -> object:
        """What a model learns from it; images from which it learns the same compare equal."""
        if self.labels is None or self.dropped:
            return None
        return self.labels, self.boxes, self.group, self.split


@dataclass(frozen=True)
class State:
    """A project's labels at some time.

    Attributes:
        kind: What labels are.
        classes: The classes, in the order in which they were made.
        items: The images, by their paths within the project.
        number: The number of acts so far.
        lesson: The number of the last act that changed what a model learns.
    """

    kind: Kind
    classes: tuple[str, ...]
    items: Mapping[str, Item]
    number: int
    lesson: int = 0


@dataclass(frozen=True)
class Snapshot:
    """What some images and the classes are at some time; None is an image that is not there."""

    kind: Kind
    classes: tuple[str, ...]
    items: Mapping[str, Item | None]


@dataclass(frozen=True)
class Step:
    """An act that changed something: what it found, and what it left."""

    before: Snapshot
    after: Snapshot

    def with_classes(self, names: tuple[str, ...]) -> "Step":
        """Return the step with classes that have come with images since."""
        before, after = (
            replace(part, classes=tuple(dict.fromkeys((*part.classes, *names))))
            for part in (self.before, self.after)
        )
        return Step(before, after)


class Labels:
    """The classes and the images of a project, with unlimited undo and redo.

    Attributes:
        kind: What labels are.
        classes: The classes, in the order in which they were made.
        items: The images, by their paths within the project.
        number: The number of acts so far.
        lesson: The number of the last act that changed what a model learns.
    """

    def __init__(self) -> None:
        self.kind: Kind = "single"
        self.classes: tuple[str, ...] = ()
        self.items: dict[str, Item] = {}
        self.number = self.lesson = 0
        self._done: list[Step] = []
        self._undone: list[Step] = []
        self._changed_at: dict[str, int] = {}

    @property
    def can_undo(self) -> bool:
        """Whether there is an act to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is an act to do again."""
        return bool(self._undone)

    @property
    def state(self) -> State:
        """The present state, which later acts do not change."""
        return State(self.kind, self.classes, dict(self.items), self.number, self.lesson)

    def changed_since(self, number: int) -> dict[str, Item | None]:
        """Return the images that acts after that one changed; None for those that are gone."""
        names = [name for name, changed in self._changed_at.items() if changed > number]
        return {name: self.items.get(name) for name in names}

    def changes(self, act: Act) -> bool:
        """Return whether an act would change anything.

        Raises:
            ProjectError: It is impossible.
        """
        after = self._after(act)
        same = (after.kind, after.classes) == (self.kind, self.classes)
        return not same or after.items != self._before(after).items

    def apply(self, act: Act) -> None:
        """Do an act.

        Raises:
            ProjectError: It is impossible, and nothing has changed.
        """
        after = self._after(act)
        before = self._before(after)
        match act:
            case Undo():
                self._undone.append(self._done.pop())
            case Redo():
                self._done.append(self._undone.pop())
            case Add():
                used = {label for item in after.items.values() for label in _labels(item)}
                names = tuple(name for name in after.classes if name in used)
                self._done = [step.with_classes(names) for step in self._done]
                self._undone = [step.with_classes(names) for step in self._undone]
            case _:
                self._done.append(Step(before, after))
                self._undone.clear()
        self.number += 1
        if after.kind != self.kind or _lessons(before) != _lessons(after):
            self.lesson = self.number
        self.kind, self.classes = after.kind, after.classes
        for name, item in after.items.items():
            self._changed_at[name] = self.number
            if item is None:
                self.items.pop(name, None)
            else:
                self.items[name] = item

    def _before(self, after: Snapshot) -> Snapshot:
        """Return what the images of a snapshot are now."""
        items = {name: self.items.get(name) for name in after.items}
        return Snapshot(self.kind, self.classes, items)

    def _after(self, act: Act) -> Snapshot:
        """Return what an act leaves of the images that it changes.

        Raises:
            ProjectError: It is impossible.
        """
        match act:
            case Undo():
                return _last(self._done, "There is nothing to undo.").before
            case Redo():
                return _last(self._undone, "There is nothing to redo.").after
            case Add(found):
                return self._now(
                    {
                        each.image: self._found(each)
                        for each in found
                        if each.image not in self.items
                    }
                )
            case Label(labels):
                return self._now({name: self._labelled(name, own) for name, own in labels.items()})
            case Draw(name, boxes):
                return self._now({name: self._drawn(name, boxes)})
            case Keep(images, copies):
                return self._now({name: self._kept(name, copies=copies) for name in images})
            case SetKind(kind):
                return self._with_kind(kind)
            case Drop(images, dropped):
                changed = {name: replace(self._item(name), dropped=dropped) for name in images}
                return self._now(changed)
            case AddClass(name):
                name = normalised(name)
                _check_class(name)
                if name in self.classes:
                    raise ProjectError(f"There is a class '{name}' already.")
                return Snapshot(self.kind, (*self.classes, name), {})
            case RenameClass(name, new):
                self._check_there(name)
                _check_class(new := normalised(new))
                return self._renamed(name, new)
            case RemoveClass(name):
                self._check_there(name)
                return self._renamed(name, None)

    def _now(self, items: Mapping[str, Item | None]) -> Snapshot:
        """Return the present with some images changed, and with the classes that are new."""
        names = {name for item in items.values() for name in _labels(item)}
        new = sorted(names - set(self.classes))
        for name in new:
            _check_class(name)
        return Snapshot(self.kind, (*self.classes, *new), items)

    def _found(self, found: Found) -> Item:
        """Return a new image. A folder whose name cannot be a class is no label.

        Raises:
            ProjectError: Its path is not within the project.
        """
        path = PurePosixPath(found.image)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ProjectError(f"'{found.image}' is not within the project.")
        labels: Labelled = None
        if found.labels and self.kind != "boxes" and all(map(can_be_class, found.labels)):
            labels = self._checked(found.labels)
        return Item(labels, group=found.group, split=found.split)

    def _labelled(self, name: str, labels: Labelled) -> Item:
        if self.kind == "boxes" and labels:
            raise ProjectError(f"Draw a box in '{name}': in this project, labels are boxes.")
        labels = self._checked(labels)
        return replace(self._item(name), labels=labels, boxes=(), kept=False)

    def _kept(self, name: str, *, copies: bool) -> Item:
        item = self._item(name)
        return replace(item, kept_copy=True) if copies else replace(item, kept=True)

    def _drawn(self, name: str, boxes: tuple[Box, ...] | None) -> Item:
        if self.kind != "boxes":
            raise ProjectError("In this project, labels are of whole images.")
        for box in boxes or ():
            if not (0 <= box.x1 < box.x2 < _FARTHEST and 0 <= box.y1 < box.y2 < _FARTHEST):
                raise ProjectError(f"A box in '{name}' has no area, or begins outside of it.")
        labels = None if boxes is None else _sorted(box.label for box in boxes)
        return replace(self._item(name), labels=labels, boxes=boxes or (), kept=False)

    def _checked(self, labels: Labelled) -> Labelled:
        """Return the labels of an image, sorted.

        Raises:
            ProjectError: There are several, or none, in a project where each image has one.
        """
        if labels is None or self.kind != "single":
            return labels and _sorted(labels)
        if len(set(labels)) > 1:
            raise ProjectError("In this project, an image has one label.")
        return _sorted(labels) or None

    def _with_kind(self, kind: Kind) -> Snapshot:
        """Return the images with labels of another kind; those that cannot be kept are taken away.

        Raises:
            ProjectError: There are boxes, or there would be labels without any.
        """
        if kind == self.kind:
            raise ProjectError("Labels are of that kind already.")
        if "boxes" in (kind, self.kind) and any(item.labels for item in self.items.values()):
            raise ProjectError(
                "Labels of whole images do not become boxes, or boxes labels, and this project "
                "has some. Remove its classes first, or use another folder."
            )
        several = {
            name: replace(item, labels=None)
            for name, item in self.items.items()
            if kind == "single" and item.labels is not None and len(item.labels) != 1
        }
        return Snapshot(kind, self.classes, several)

    def _renamed(self, name: str, new: str | None) -> Snapshot:
        """Return what is left if a class has another name, or none."""
        names = [new if each == name else each for each in self.classes]
        changed = {
            image: self._with_renamed(item, name, new)
            for image, item in self.items.items()
            if name in (item.labels or ())
        }
        return Snapshot(self.kind, tuple(dict.fromkeys(each for each in names if each)), changed)

    def _with_renamed(self, item: Item, name: str, new: str | None) -> Item:
        boxes = tuple(
            replace(box, label=new or "") if box.label == name else box for box in item.boxes
        )
        labels = _sorted(new if each == name else each for each in item.labels or ())
        without = not labels and self.kind == "single"
        return replace(
            item, labels=None if without else labels, boxes=tuple(box for box in boxes if box.label)
        )

    def _item(self, name: str) -> Item:
        if name not in self.items:
            raise ProjectError(f"Image '{name}' is not in the project.")
        return self.items[name]

    def _check_there(self, name: str) -> None:
        if name not in self.classes:
            raise ProjectError(f"There is no class '{name}'.")


def can_be_class(name: str) -> bool:
    """Return whether a name can be that of a class."""
    try:
        _check_class(normalised(name))
    except ProjectError:
        return False
    return True


def _labels(item: Item | None) -> tuple[str, ...]:
    return (item.labels if item else None) or ()


def _lessons(snapshot: Snapshot) -> dict[str, object]:
    return {name: item and item.lesson for name, item in snapshot.items.items()}


def _sorted(labels: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({normalised(label) for label in labels if label}))


def _last(steps: list[Step], otherwise: str) -> Step:
    if not steps:
        raise ProjectError(otherwise)
    return steps[-1]


def _check_class(name: str) -> None:
    """Check that a name can be a class, also as the name of a folder and in a list of labels.

    Raises:
        ProjectError: It cannot.
    """
    if not name.strip():
        raise ProjectError("A class needs a name.")
    if name != name.strip() or not name.isprintable():
        raise ProjectError(
            f"The class {name!r} has spaces around it, or characters that cannot be shown."
        )
    if cell_text(name) != name or SEPARATOR in name:
        raise ProjectError(
            f"A class cannot be called '{name}': in a table, that would be read as a missing "
            "label, or as several."
        )
    if len(name.encode(errors="replace")) > _LONGEST_CLASS:
        raise ProjectError(f"The name of a class has at most {_LONGEST_CLASS} bytes.")


_LONGEST_CLASS = 200
_FARTHEST = 1e6  # Pixels; no image is wider.
