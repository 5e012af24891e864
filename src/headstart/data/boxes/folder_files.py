"""The files of a folder with boxes, and the images that annotations mean."""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from headstart.data.formats import is_image_file
from headstart.data.paths import list_names, walk_files
from headstart.data.split_names import split_of

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages")
"""The usual names of folders of images, in lower case."""


ANNOTATION_FOLDERS = ("annotations", "annotation", "labels", "json", "coco")
"""The usual names of folders of annotations of the images in the folders beside them."""


@dataclass(frozen=True)
class FolderFiles:
    """The files below a folder, in a fixed order.

    Attributes:
        root: The folder.
        images: Image files.
        others: All others.
    """

    root: Path
    images: tuple[Path, ...]
    others: tuple[Path, ...]

    @classmethod
    def of(cls, root: Path) -> "FolderFiles":
        """List the files below a folder; folders that cannot be read have none."""
        images: list[Path] = []
        others: list[Path] = []
        for file in walk_files(root, on_unreadable=lambda _: None):
            (images if is_image_file(file) else others).append(file)
        return cls(root, tuple(images), tuple(others))

    @classmethod
    def around(cls, annotation: Path) -> "FolderFiles":
        """List the files of the folder that has an annotation and the images that it means."""
        beside = annotation.parent.name.lower() in ANNOTATION_FOLDERS
        return cls.of(annotation.parent.parent if beside else annotation.parent)

    def with_suffix(self, *suffixes: str) -> list[Path]:
        """Return the files that are not images and have one of these suffixes."""
        return [file for file in self.others if file.suffix.lower() in suffixes]

    def name(self, file: Path) -> str:
        """Return the path of a file within the folder."""
        return name_within(self.root, file)

    def find(
        self, text: str, near: Path, part: str | None = None, *, by_stem: bool = False
    ) -> tuple[Path, str | None]:
        """Return the image that an annotation means, and the problem if there is none.

        It is the file at that path in the folder of the annotation. Otherwise it is the file with
        this name anywhere below `root` that agrees best with the folders in the path, then with the
        part of the split, then with the usual name of a folder of images, and then with the place
        of the annotation; of these, the one in the fewest folders.

        Args:
            text: A path or a name, which may be written with backslashes.
            near: The folder of the annotation.
            part: The part of the split that the annotation belongs to.
            by_stem: Whether the name has no suffix.
        """
        wanted = PurePosixPath(text.replace("\\", "/"))
        if not by_stem and (exact := near / wanted) in self._known:
            return exact, None
        known = self._by_stem if by_stem else self._by_name
        best = _nearest(known.get(_key(wanted.name), ()), wanted)
        for test in (
            lambda file: file.parent == near,
            lambda file: part in self.parts_of(file),
            lambda file: file.parent.name.lower() in IMAGE_FOLDERS,
        ):
            best = [file for file in best if test(file)] or best
        best = _best(best, [_shared(near.parts, file.parts) for file in best])
        best = _best(best, [-len(file.parts) for file in best])
        if len(best) == 1:
            return best[0], None
        if best:
            names = list_names([self.name(file) for file in best], 2)
            return near / wanted, f"several files have this name: {names}"
        return near / wanted, f"the file '{near / wanted}' does not exist"

    def parts_of(self, file: Path) -> list[str]:
        """Return the parts of a split that folders around a file name, from the outermost."""
        folders = file.relative_to(self.root).parts[:-1]
        return [part for part in map(split_of, folders) if part]

    def part_of(self, file: Path) -> str | None:
        """Return the part of a split that the folders of a file name; the innermost of several."""
        return next(reversed(self.parts_of(file)), None)

    @cached_property
    def _known(self) -> frozenset[Path]:
        return frozenset(self.images)

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        return _by(self.images, lambda file: file.name)

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        return _by(self.images, lambda file: file.stem)


def name_within(root: Path, file: Path) -> str:
    """Return the path of a file within a folder, or its whole path if it is elsewhere."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()


def _by(files: Iterable[Path], name_of: Callable[[Path], str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        found[_key(name_of(file))].append(file)
    return found


def _key(name: str) -> str:
    """Return a name so that both Unicode forms and all capitals are equal."""
    return unicodedata.normalize("NFC", name).casefold()


def _nearest(files: Sequence[Path], wanted: PurePosixPath) -> list[Path]:
    """Return the files whose last folders agree with the most of those of a path."""
    backwards = [part.casefold() for part in reversed(wanted.parts)]
    scores = [
        _shared(backwards[1:], [part.casefold() for part in reversed(file.parts)][1:])
        for file in files
    ]
    return _best(files, scores)


def _best(files: Sequence[Path], scores: Sequence[int]) -> list[Path]:
    highest = max(scores, default=0)
    return [file for file, score in zip(files, scores, strict=True) if score == highest]


def _shared(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the length of the common beginning of two sequences."""
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count
