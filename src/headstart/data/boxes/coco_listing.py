"""The images and categories that COCO's JSON lists, with their ids; its boxes are not read.

A file may be without annotations, such as that of a test part whose boxes are kept secret.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headstart.arrays import Numbers
from headstart.data.boxes.coco import categories_of, images_of, object_list, parse_coco
from headstart.data.boxes.folder_files import FolderFiles
from headstart.data.boxes.geometry import as_annotated
from headstart.data.boxes.image_sizes import read_sizes
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
        path: The path of its own file.
        size: The width and height that the listing says it has, for which its boxes are; None if it
            does not say.
    """

    id: Id
    path: str
    size: tuple[float, float] | None

    def as_listed(self, corners: Numbers, seen: tuple[int, int]) -> Numbers:
        """Return boxes as the listing has them.

        Args:
            corners: x1, y1, x2, y2 in pixels of the image as it is seen, shape (boxes, 4).
            seen: Its width and height.
        """
        if self.size is None or self.size == seen:
            return corners
        (size,) = read_sizes([self.path])
        return as_annotated(corners, self.size, size) if size else corners


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
        listed = images_of(file, object_list(file, document, "images"))
        if not listed:
            raise DataError(f"'{file}' lists no images.")
        names = dict.fromkeys(str(image["file_name"]) for image in listed.values())
        files = {image.name: image for image in _found(file, names)}
        images: dict[str, list[CocoImage]] = {name: [] for name in names}
        for identity, image in listed.items():
            name = str(image["file_name"])
            size = size_of(image.get("width"), image.get("height"))
            images[name].append(CocoImage(identity, files[name].path, size))
        named = categories_of(file, object_list(file, document, "categories"))
        categories: dict[str, Id] = {}
        for number, name in named.items():
            categories.setdefault(name, number)
        return cls(file, list(files.values()), images, categories)

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


def _found(file: Path, names: Iterable[str]) -> Iterator[ListedImage]:
    files = FolderFiles.around(file)
    for name in names:
        path, problem = files.find(name, file.parent)
        yield ListedImage(name, str(path), problem)
