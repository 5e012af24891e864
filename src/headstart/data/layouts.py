"""Which folders of a data set name classes, which name parts of a split, and which do neither."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from headstart.data.labels import simplified
from headstart.data.paths import list_names
from headstart.data.split_names import split_of
from headstart.errors import DataError

Parts = tuple[str, ...]
"""The folders on the way to a file, and its name."""

# Folders whose subfolders have at least this share of names in common hold the same subfolders.
_ALIKE = 0.5


@dataclass
class Node:
    """A folder with images.

    Attributes:
        images: The number of images directly in it.
        folders: Its folders with images, by name.
    """

    images: int = 0
    folders: dict[str, "Node"] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Iterable[Parts]) -> "Node":
        """Build the tree of folders of image files."""
        root = cls()
        for *folders, _ in files:
            node = root
            for name in folders:
                node = node.folders.setdefault(name, cls())
            node.images += 1
        return root

    @property
    def total(self) -> int:
        """The number of images in the folder and below."""
        return self.images + sum(node.total for node in self.folders.values())


@dataclass(frozen=True)
class Layout:
    """The meaning of the folders.

    Attributes:
        entered: Folders around everything.
        splits: The parts of the split, by the names of their folders; empty without a split.
        split_first: Whether the folders of the split hold those of the classes, or the reverse.
        inner: Folders around the classes in each folder of the split.
        left_out: Folders that are neither classes nor parts of a split, with their images.
    """

    entered: Parts = ()
    splits: Mapping[str, str] = field(default_factory=dict)
    split_first: bool = True
    inner: Parts = ()
    left_out: Mapping[Parts, int] = field(default_factory=dict)

    def is_left_out(self, parts: Parts) -> bool:
        """Return whether a file is in a folder that is left out."""
        return any(parts[: len(folder)] == folder for folder in self.left_out)

    def inside(self, parts: Parts) -> Parts:
        """Return the path of a file within the folders around everything, if it is in them."""
        depth = len(self.entered)
        return parts[depth:] if parts[:depth] == self.entered else parts

    def place(self, parts: Parts) -> tuple[str | None, str | None]:
        """Return the class and the part of the split of a file; None where it has none."""
        if parts[: len(self.entered)] != self.entered:
            return None, None
        *folders, _ = self.inside(parts)
        if not self.splits:
            return next(iter(folders), None), None
        if not self.split_first:
            split = self.splits.get(folders[1]) if len(folders) > 1 else None
            return next(iter(folders), None), split
        split = self.splits.get(folders[0]) if folders else None
        depth = 1 + len(self.inner)
        inside = split and tuple(folders[1:depth]) == self.inner and len(folders) > depth
        return (folders[depth] if inside else None), split

    def below_class(self, parts: Parts) -> Parts:
        """Return the path down to the first folder within the class folder of a file, if any."""
        inside = self.inside(parts)
        depth = 1 if not self.splits else 2 + len(self.inner)
        return inside[: depth + 1] if len(inside) > depth + 1 else ()

    def class_folders(self) -> list[Parts]:
        """Return the folders whose folders are the classes."""
        if not self.splits or not self.split_first:
            return [self.entered]
        return [(*self.entered, name, *self.inner) for name in self.splits]


def understand(data: object, root: Node, known: Collection[str] = ()) -> Layout:
    """Find the folders of the classes and of the split.

    Args:
        data: The data, for error messages.
        root: The folders with images.
        known: The classes of a trained model, which are never taken for other folders.

    Raises:
        DataError: It is unclear which folders name the classes.
    """
    entered, node = _enter(root, known)
    splits = {name: split for name in node.folders if (split := split_of(name))}
    labelled = {name: split for name, split in splits.items() if node.folders[name].folders}
    if labelled and not set(labelled) & set(known):
        labelled = _labelled_alike(data, node, labelled, known)
        return _with_split(data, entered, node, splits, labelled)
    if splits and len(splits) == len(node.folders) and not set(splits) & set(known):
        raise DataError(
            f"'{data}' has no class folders: its only folders, {list_names(list(splits))}, are "
            "named like parts of a split and have none in them. Put each image into a folder named "
            f"after its class, such as '{next(iter(splits))}/cat/1.jpg', or pass a CSV file with "
            "the columns 'path' and 'label'."
        )
    if not known:
        if below := _split_below_classes(data, node):
            return Layout(entered, below, split_first=False)
        _check_not_alike(data, node.folders)
    return Layout(entered)


def _enter(root: Node, known: Collection[str]) -> tuple[Parts, Node]:
    """Return the folders around everything else, and the last of them."""
    entered: list[str] = []
    node = root
    while len(node.folders) == 1:
        ((name, inside),) = node.folders.items()
        if name in known or not inside.folders or 2 * inside.images > inside.total:
            break
        entered.append(name)
        node = inside
    is_split = bool(entered) and split_of(entered[-1]) is not None
    return (tuple(entered), node) if len(node.folders) > 1 or is_split else ((), root)


def _with_split(
    data: object, entered: Parts, node: Node, splits: Mapping[str, str], labelled: Mapping[str, str]
) -> Layout:
    """Return the layout of a folder with train, val and test folders of class folders."""
    others = {name: inside for name, inside in node.folders.items() if name not in labelled}
    _check_classes(data, node, labelled, others)
    unknown = [name for name in others if name not in splits]
    if "train" not in labelled.values() or (len(splits) == 1 and unknown):
        besides = f"there is also {list_names(unknown)}" if unknown else "there is no train folder"
        raise DataError(
            f"It is unclear whether {list_names(list(labelled))} in '{data}' is a class or a part "
            f"of a split, as {besides}. If it is a part, name the other parts train, val and test, "
            "and move everything else out of the data. If it is a class, move the images in its "
            "folders up into it."
        )
    left_out = {(*entered, name): other.total for name, other in others.items()}
    inner = _common_inner([node.folders[name] for name in labelled])
    for name in labelled:
        _check_not_alike(data, _below(node.folders[name], inner).folders)
    if set(labelled.values()) == {"train"} and len(labelled) == 1:
        return Layout((*entered, *labelled, *inner), left_out=left_out)
    return Layout(entered, labelled, inner=inner, left_out=left_out)


def _check_classes(
    data: object, node: Node, labelled: Mapping[str, str], others: Mapping[str, Node]
) -> None:
    """Refuse class folders that are named like parts, or that are also beside the split."""
    inside = set(chain(*(node.folders[name].folders for name in labelled)))
    if all(map(split_of, inside)):
        raise DataError(
            f"The folders {list_names(list(labelled))} in '{data}' and the folders in them are "
            "all named like parts of a split. Rename those that are classes."
        )
    classes = set(map(simplified, inside))
    alike = [name for name in others if classes & set(map(simplified, others[name].folders))]
    if alike:
        raise DataError(
            f"'{data}' has the folders {list_names(list(labelled))} of a split, and "
            f"{list_names(alike)} with folders of the same names. Rename {list_names(alike)} to "
            "train, val or test to use it, or move it out of the data."
        )


def _labelled_alike(
    data: object, node: Node, labelled: Mapping[str, str], known: Collection[str]
) -> dict[str, str]:
    """Return the parts of a split with classes of the training part, or of a trained model.

    The single folder of another part, as in test/images/1.jpg, is only around its images.
    """
    folders = {name: list(node.folders[name].folders) for name in labelled}
    trained = chain(*(folders[name] for name, split in labelled.items() if split == "train"))
    classes = set(map(simplified, (*trained, *known)))
    apart = [name for name, inside in folders.items() if not classes & set(map(simplified, inside))]
    if "train" not in labelled.values() or not apart:
        return dict(labelled)
    if named := [name for name in apart if len(folders[name]) > 1]:
        raise DataError(
            f"None of the folders in '{named[0]}' ({list_names(folders[named[0]])}) of '{data}' is "
            f"a class of its training part. Name them alike, or move '{named[0]}' out of the data."
        )
    return {name: split for name, split in labelled.items() if name not in apart}


def _common_inner(nodes: list[Node]) -> Parts:
    """Return the folders around the classes, which are the same in each part of the split."""
    inner: list[str] = []
    while True:
        names = {tuple(node.folders) for node in nodes}
        if len(names) != 1 or len(name := names.pop()) != 1:
            return tuple(inner)
        nodes = [node.folders[name[0]] for node in nodes]
        if not all(len(node.folders) > 1 and not node.images for node in nodes):
            return tuple(inner)
        inner.extend(name)


def _below(node: Node, folders: Parts) -> Node:
    for name in folders:
        node = node.folders[name]
    return node


def _split_below_classes(data: object, node: Node) -> dict[str, str]:
    """Return the split, if every class folder holds train and test folders and nothing else."""
    divided = {
        name: inside
        for name, inside in node.folders.items()
        if inside.folders and not inside.images and all(map(split_of, inside.folders))
    }
    splits = {
        name: split
        for name in sorted(set(chain(*(inside.folders for inside in divided.values()))))
        if (split := split_of(name))
    }
    if len(divided) < 2 or "train" not in splits.values():
        return {}
    if others := [name for name in node.folders if name not in divided]:
        raise DataError(
            f"The class folders {list_names(list(divided))} in '{data}' hold the parts of a split "
            f"({list_names(list(splits))}), but {list_names(others)} does not. Move its images "
            f"into such folders if it is a class, or else out of the data."
        )
    return splits


def _check_not_alike(data: object, folders: Mapping[str, Node]) -> None:
    """Refuse folders with the same subfolders: the subfolders may be the classes."""
    nested = {name: node for name, node in folders.items() if len(node.folders) > 1}
    inside = sum(node.total - node.images for node in nested.values())
    if len(nested) < 2 or 2 * inside < sum(node.total for node in folders.values()):
        return
    names = Counter(
        chain(*({simplified(name) for name in node.folders} for node in nested.values()))
    )
    shared = [name for name, count in names.items() if count == len(nested)]
    if len(shared) / len(names) >= _ALIKE:
        first, *_ = nested.values()
        raise DataError(
            f"It is unclear which folders in '{data}' name the classes: {list_names(list(nested))} "
            f"hold the same folders ({list_names(sorted(first.folders))}). If they are parts of a "
            "split, name them train, val and test. If their folders are the classes, put all "
            "images of a class into one folder. Or pass a CSV file with the columns path and label."
        )
