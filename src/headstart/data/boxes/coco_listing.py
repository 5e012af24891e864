"""The images and categories that COCO's JSON lists, with their ids; its boxes are not read.

A file may be without annotations, such as that of a test part whose boxes are kept secret.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headstart.data.boxes.coco import categories_of, images_of, object_list, parse_coco
from headstart.data.boxes.folder_files import FolderFiles
from headstart.data.boxes.geometry import scales
from headstart.data.boxes.numbers import size_of
from headstart.data.inputs import ListedImage
from headstart.data.paths import list_names
from headstart.errors import DataError

_MARKS = (b'"images"', b'"file_name"')

Id = int | str


def lists_coco_images(file: Path) -> bool:
    """Return whether a file is COCO's JSON by its name and its first keys."""
    if file.suffix.lower() != ".json":
        return False
    try:
        content = file.read_bytes()
    except OSError:
        return False
    return content.lstrip()[:1] == b"{" and all(mark in content for mark in _MARKS)


@dataclass(frozen=True)
class CocoImage:
    """An image of a listing.

    Attributes:
        id: Its id in the file.
        size: The width and height that the file says it has, for which its boxes are; None if it
            does not say.
    """

    id: Id
    size: tuple[float, float] | None

    def scales(self, seen: tuple[int, int]) -> tuple[float, float]:
        """Return by what x and y of boxes in the image as it is seen become those of the file."""
        return (self.size and scales(seen, self.size)) or (1.0, 1.0)


@dataclass(frozen=True)
class CocoListing:
    """The images and categories of COCO's JSON.

    Attributes:
        file: Its path.
        files: The images, by the names that the file gives them.
        images: The ids of each image, by its name; several if the file lists it several times.
        categories: The id of each category, by its name.
    """

    file: Path
    files: Sequence[ListedImage]
    images: Mapping[str, Sequence[CocoImage]]
    categories: Mapping[str, Id]

    @classmethod
    def read(cls, file: Path) -> "CocoListing":
        """Read a file.

        Raises:
            DataError: It cannot be parsed, contradicts itself, or has no images.
        """
        document = parse_coco(file)
        images: dict[str, list[CocoImage]] = {}
        for identity, image in images_of(file, object_list(file, document, "images")).items():
            size = size_of(image.get("width"), image.get("height"))
            images.setdefault(str(image["file_name"]), []).append(CocoImage(identity, size))
        if not images:
            raise DataError(f"'{file}' lists no images.")
        named = categories_of(file, object_list(file, document, "categories"))
        categories: dict[str, Id] = {}
        for identity, name in named.items():
            categories.setdefault(name, identity)
        return cls(file, list(_found(file, images)), images, categories)

    def without_category(self, classes: Sequence[str]) -> list[str]:
        """Return the classes that are not categories of the file.

        Raises:
            DataError: None of them is one.
        """
        missing = [name for name in classes if name not in self.categories]
        if len(missing) == len(classes):
            raise DataError(
                f"'{self.file}' has none of the model's classes, {list_names(missing)}: its "
                f"categories are {list_names(list(self.categories))}. Rename them, or pass the "
                "images themselves."
            )
        return missing


def _found(file: Path, names: Mapping[str, object]) -> Iterator[ListedImage]:
    files = FolderFiles.around(file)
    for name in names:
        path, problem = files.find(name, file.parent)
        yield ListedImage(name, str(path), problem)
