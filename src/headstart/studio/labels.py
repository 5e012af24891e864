"""The labels of a project, and what each act changes in them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from headstart.errors import ProjectError
from headstart.studio.acts import (
    Act,
    Add,
    AddClass,
    Drop,
    Label,
    Redo,
    RemoveClass,
    RenameClass,
    Undo,
)


@dataclass(frozen=True)
class Item:
    """An image of a project.

    Attributes:
        labels: What it shows, sorted; () if it has no label.
        group: Images of a group never span a split; "" if it is alone.
        split: "train", "val" or "test", if its folder says so; else "".
        dropped: Whether it is left out.
    """

    labels: tuple[str, ...] = ()
    group: str = ""
    split: str = ""
    dropped: bool = False


@dataclass(frozen=True)
class Snapshot:
    """What some images and the classes are at some time; None is an image that is not there."""

    classes: tuple[str, ...]
    items: Mapping[str, Item | None]


@dataclass(frozen=True)
class Step:
    """An act that changed something: what it found, and what it left."""

    before: Snapshot
    after: Snapshot


class Labels:
    """The classes and the images of a project, with undo and redo without end.

    Attributes:
        classes: The classes, in the order in which they were made.
        items: The images, by their paths within the project.
        number: The number of acts so far.
    """

    def __init__(self) -> None:
        self.classes: tuple[str, ...] = ()
        self.items: dict[str, Item] = {}
        self.number = 0
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

    def changed_since(self, number: int) -> dict[str, Item | None]:
        """Return the images that acts after that one changed; None for those that are gone."""
        names = [name for name, changed in self._changed_at.items() if changed > number]
        return {name: self.items.get(name) for name in names}

    def check(self, act: Act) -> None:
        """Check that an act is possible.

        Raises:
            ProjectError: It is not.
        """
        self._after(act)

    def apply(self, act: Act) -> None:
        """Do an act.

        Raises:
            ProjectError: It is impossible, and nothing has changed.
        """
        after = self._after(act)
        before = Snapshot(self.classes, {name: self.items.get(name) for name in after.items})
        if isinstance(act, Undo):
            self._undone.append(self._done.pop())
        elif isinstance(act, Redo):
            self._done.append(self._undone.pop())
        else:
            self._done.append(Step(before, after))
            self._undone.clear()
        self.number += 1
        self.classes = after.classes
        for name, item in after.items.items():
            self._changed_at[name] = self.number
            if item is None:
                self.items.pop(name, None)
            else:
                self.items[name] = item

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
                new = {
                    each.image: Item(_sorted(each.labels), each.group, each.split)
                    for each in found
                    if each.image not in self.items
                }
                return Snapshot(self._with_classes_of(new.values()), new)
            case Label(labels):
                changed = {
                    name: replace(self._item(name), labels=_sorted(own))
                    for name, own in labels.items()
                }
                return Snapshot(self._with_classes_of(changed.values()), changed)
            case Drop(images, dropped):
                return Snapshot(
                    self.classes,
                    {name: replace(self._item(name), dropped=dropped) for name in images},
                )
            case AddClass(name):
                _check_class(name)
                if name in self.classes:
                    raise ProjectError(f"There is a class '{name}' already.")
                return Snapshot((*self.classes, name), {})
            case RenameClass(name, new):
                self._check_there(name)
                _check_class(new)
                return self._relabelled(name, new)
            case RemoveClass(name):
                self._check_there(name)
                return self._relabelled(name, None)

    def _relabelled(self, name: str, new: str | None) -> Snapshot:
        """Return what is left if a class has another name, or none."""
        names = [new if each == name else each for each in self.classes]
        changed = {
            image: replace(
                item, labels=_sorted(new if each == name else each for each in item.labels)
            )
            for image, item in self.items.items()
            if name in item.labels
        }
        return Snapshot(tuple(dict.fromkeys(each for each in names if each)), changed)

    def _with_classes_of(self, items: Iterable[Item]) -> tuple[str, ...]:
        """Return the classes, with those of some images that are new."""
        names = sorted({name for item in items for name in item.labels} - set(self.classes))
        for name in names:
            _check_class(name)
        return (*self.classes, *names)

    def _item(self, name: str) -> Item:
        if name not in self.items:
            raise ProjectError(f"Image '{name}' is not in the project.")
        return self.items[name]

    def _check_there(self, name: str) -> None:
        if name not in self.classes:
            raise ProjectError(f"There is no class '{name}'.")


def _sorted(labels: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({label for label in labels if label}))


def _last(steps: list[Step], otherwise: str) -> Step:
    if not steps:
        raise ProjectError(otherwise)
    return steps[-1]


def _check_class(name: str) -> None:
    """Check that a name can be a class, also as the name of a folder.

    Raises:
        ProjectError: It cannot.
    """
    if not name.strip():
        raise ProjectError("A class needs a name.")
    if name != name.strip() or not name.isprintable():
        raise ProjectError(
            f"The class {name!r} has spaces around it, or characters that cannot be shown."
        )
    if len(name.encode(errors="replace")) > _LONGEST_CLASS:
        raise ProjectError(f"The name of a class has at most {_LONGEST_CLASS} bytes.")


_LONGEST_CLASS = 200
