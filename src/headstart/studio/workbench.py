"""What is known of a project's images: whether they can be read, and their features."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headstart.arrays import Features
from headstart.choosing.image_size import sized_for_sides
from headstart.data.checks import Checked, check_files
from headstart.data.duplicates import near_duplicates
from headstart.data.images import Images
from headstart.data.labels import write_labels
from headstart.data.listing import Source
from headstart.data.manifest import Entry, FileInfo
from headstart.data.opening import images_of
from headstart.errors import HeadstartError
from headstart.features.extractor import FeatureExtractor
from headstart.options import DecodeLimits
from headstart.studio.acts import Kind
from headstart.studio.labels import Item, State
from headstart.studio.table import is_used
from headstart.tasks.loading import TASKS
from headstart.watching import Progress

_FileState = tuple[int, int]
"""Size and time of the last change of a file."""


@dataclass(frozen=True)
class _Known:
    state: _FileState
    checked: Checked


class Workbench:
    """Checks files and computes their features, each only once while the studio runs.

    Args:
        folder: The folder of the project.
        extractor: Computes the features, or reads them from the store.
        limits: Maximum bytes and pixels per image.

    Attributes:
        extractor: See above; at the size that suits the first images.
        stored_as: The precision in which features are stored.
    """

    def __init__(
        self, folder: Path, extractor: FeatureExtractor, limits: DecodeLimits | None = None
    ) -> None:
        self.extractor, self.stored_as = extractor, "float32"
        self._root = str(folder)
        self._folder, self._limits = folder, limits or DecodeLimits()
        self._known: dict[str, _Known] = {}
        self._features: dict[str, Features] = {}
        self._images: dict[str, str] = {}  # By the hash of their files.
        self._failed: dict[str, str] = {}
        self._has_size = False

    def look_at(self, images: Iterable[str], progress: Progress | None = None) -> None:
        """Check the files of images and compute their features, as far as that is not done.

        Args:
            images: Paths within the project.
            progress: Called with the number of images whose features are known, and the total.
        """
        images = list(images)
        infos = [
            info for info, _ in self._check([self._entry(image) for image in images], self._limits)
        ]
        self._choose_size(infos)
        missing = {
            sha256: image
            for image in images
            if (sha256 := self._sha256(image)) and sha256 not in self._features
        }
        try:
            self._extract(missing, progress)
        except HeadstartError:  # One of them cannot be read again: the others can.
            for sha256, image in missing.items():
                try:
                    self._extract({sha256: image})
                except HeadstartError as error:
                    self._failed[image] = str(error)

    def _choose_size(self, infos: Iterable[FileInfo]) -> None:
        """Read images at the size at which `train` would, judging by the first ones."""
        sides = [min(i.width, i.height) for i in infos if i.width and i.height and not i.rejected]
        if self._has_size or not sides:
            return
        backbone = self.extractor.backbone
        sized = sized_for_sides(backbone, np.array(sides))
        if sized is not backbone:
            self.extractor = self.extractor.with_backbone(sized)
        self._has_size = True

    def _extract(self, images: Mapping[str, str], progress: Progress | None = None) -> None:
        """Compute the features of images, by the hash of their files."""
        if images:
            files = [(self._entry(image).path, sha256) for sha256, image in images.items()]
            features, self.stored_as = self.extractor.of_files(files, progress=progress)
            self._features |= zip(images, features, strict=True)

    def changed(self, images: Iterable[str]) -> list[str]:
        """Return the images whose files have changed since they were looked at."""
        entries = [self._entry(image) for image in images]
        return [
            entry.image
            for entry in entries
            if entry.path in self._known and not self._is_known(entry.path, _state_of(entry.path))
        ]

    def problem_of(self, image: str) -> str | None:
        """Return why an image cannot be used; None if it can, or was not checked yet."""
        known = self._known.get(self._entry(image).path)
        return self._failed.get(image) or (known.checked[0].rejected if known else None)

    def has(self, image: str) -> bool:
        """Return whether the features of an image are known."""
        sha256 = self._sha256(image)
        return sha256 is not None and sha256 in self._features

    def features_of(self, images: Sequence[str]) -> Features:
        """Return the features of images that `has` them, (images, width)."""
        return self._rows(self._sha256(image) for image in images)

    def features_by_sha256(self, sha256s: Iterable[str]) -> Features:
        """Return features by the hashes of the files, (images, width)."""
        return self._rows(sha256s)

    def last_layer(self, features: Features) -> Features:
        """Return the columns of the last layer."""
        return features[:, self.extractor.layout.columns("last")]

    def duplicates(self, images: Iterable[str]) -> tuple[tuple[str, ...], ...]:
        """Return the groups of images that are copies of each other, or almost."""
        known = {image: self._known.get(self._entry(image).path) for image in images}
        pictures = {
            image: one.checked[1]
            for image, one in known.items()
            if one is not None and one.checked[1] is not None
        }
        groups: dict[int, list[str]] = defaultdict(list)
        if pictures:
            first = near_duplicates(np.stack(list(pictures.values())))
            for image, group in zip(pictures, first.tolist(), strict=True):
                groups[group].append(image)
        return tuple(tuple(group) for group in groups.values() if len(group) > 1)

    def image_of(self, sha256: str) -> str | None:
        """Return an image with a file of that hash; None if there is none."""
        return self._images.get(sha256)

    def labelled(self, labels: State) -> Images:
        """Return the images that have a label, split as `train` does, if features are known.

        Raises:
            DataError: They cannot be trained on: there is one class only, or none.
        """
        entries = [
            self._entry(image, item, labels.kind)
            for image, item in sorted(labels.items.items())
            if is_used(item) and self.has(image)
        ]
        several = "the studio" if labels.kind == "multi" else None
        source = Source(self._folder.name, entries, several=several)
        return images_of(source, self._folder, task=TASKS[source.task], check=self._as_known)

    def unlabelled(self, labels: State) -> list[str]:
        """Return the images without a label whose features are known."""
        return [
            name
            for name, item in labels.items.items()
            if item.labels is None and not item.dropped and self.has(name)
        ]

    def _entry(self, image: str, item: Item | None = None, kind: Kind = "single") -> Entry:
        path = f"{self._root}/{image}"  # Path is slow, and this is done for each image and refit.
        if item is None or item.labels is None:
            return Entry(image, path)
        return Entry(image, path, _text(kind, item.labels), item.split or None, item.group or None)

    def _check(self, entries: Sequence[Entry], limits: DecodeLimits) -> Iterator[Checked]:
        """Yield what is known of files, in order; those that are new or have changed are read."""
        states = {entry.path: _state_of(entry.path) for entry in entries}
        new = [entry for entry in entries if not self._is_known(entry.path, states[entry.path])]
        for entry, checked in zip(new, check_files(new, limits), strict=True):
            self._known[entry.path] = _Known(states[entry.path], checked)
            if sha256 := checked[0].sha256:
                self._images[sha256] = entry.image
        yield from (self._known[entry.path].checked for entry in entries)

    def _as_known(self, entries: Sequence[Entry], limits: DecodeLimits) -> Iterator[Checked]:
        """Yield what is known of files, which are not read again."""
        yield from (self._known[entry.path].checked for entry in entries)

    def _is_known(self, path: str, state: _FileState) -> bool:
        known = self._known.get(path)
        return known is not None and known.state == state

    def _sha256(self, image: str) -> str | None:
        known = self._known.get(self._entry(image).path)
        return known.checked[0].sha256 if known and not known.checked[0].rejected else None

    def _rows(self, sha256s: Iterable[str | None]) -> Features:
        return np.stack([self._features[sha256] for sha256 in sha256s if sha256 is not None])


def _text(kind: Kind, labels: tuple[str, ...]) -> str:
    """Return the labels of an image as its entry has them."""
    return write_labels(dict.fromkeys(labels, True)) if kind == "multi" else labels[0]


def _state_of(path: str) -> _FileState:
    """Return the state of a file; of one that is gone, a state that no file has."""
    try:
        status = Path(path).stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns
