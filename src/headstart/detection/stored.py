"""Labelled images and the maps of a frozen backbone of them, ready for training."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

import numpy as np
from torch import nn

from headstart.arrays import Rows
from headstart.backbones.backbone import Backbone
from headstart.boxes import Boxes, Detections
from headstart.data.boxes.image_sizes import read_sizes
from headstart.data.boxes.labels import boxes_of
from headstart.data.images import ImageSet
from headstart.detection.examples import DetectionExamples
from headstart.detection.maps import FrozenMaps
from headstart.detection.recipe import DetectionRecipe, epochs_for, views_for
from headstart.detection.views import DetectionViews
from headstart.errors import DataError
from headstart.evaluation.boxes.coco_metrics import CocoMetrics, measure_coco
from headstart.features.extractor import FeatureExtractor
from headstart.options import TrainOptions
from headstart.watching import Watcher

_FOLDS = 7
"""One of so many parts of the training images is held out, to choose the epoch and thresholds."""


@dataclass(frozen=True)
class LabelledImages:
    """Images with their true boxes.

    Attributes:
        files: Path and sha256 of each image.
        sizes: Width and height of each image as it is seen.
        boxes: The true boxes of each image.
    """

    files: tuple[tuple[str, str], ...]
    sizes: tuple[tuple[int, int], ...]
    boxes: tuple[Boxes, ...]

    @classmethod
    def of(cls, images: ImageSet, classes: Sequence[str]) -> "LabelledImages":
        """Return the images of a set, whose sizes are read from their headers.

        Raises:
            DataError: A file has changed since it was checked.
        """
        sizes = []
        for path, size in zip(images.paths, read_sizes(images.paths), strict=True):
            if size is None:
                raise DataError(f"'{path}' changed while it was being read. Run again.")
            sizes.append(size.seen)
        labels = images.table["label"].to_pylist()
        boxes = tuple(boxes_of(text, classes) for text in labels)
        return cls(tuple(images.files), tuple(sizes), boxes)

    def __len__(self) -> int:
        return len(self.files)


@dataclass(frozen=True)
class StoredImages:
    """Images whose maps are in the boundary store, ready for the training of a head.

    Attributes:
        maps: The frozen backbone.
        recipe: Hyperparameters.
        classes: The names of the classes.
        train: The training images.
        learnt: Those that are learnt from while the epoch and the thresholds are chosen.
        held_out: Those on which these are chosen; may be empty.
        chosen_on: Where the latter are from: "val", or "train" for a part of the training images.
        store_bytes: The size of the boundary store.
    """

    maps: FrozenMaps
    recipe: DetectionRecipe
    classes: tuple[str, ...]
    train: DetectionExamples
    learnt: DetectionExamples
    held_out: DetectionExamples
    chosen_on: str
    store_bytes: int

    @property
    def can_refit(self) -> bool:
        """Whether images that were held out can be learnt from in the end."""
        return len(self.learnt) < len(self.train)

    def identity(self) -> dict[str, object]:
        """Return what must be equal for a training to be resumed."""
        return {
            "epochs": self.recipe.epochs,  # Read by `Training`, which says how far it has come.
            "recipe": asdict(self.recipe),
            "maps": self.maps.extractor.fingerprint.key,
            "classes": list(self.classes),
            "images": self.train.hashes,
            "boxes": [boxes.corners.tolist() for boxes in self.train.true_boxes],
            "held_out": self.held_out.hashes,
        }

    def measure(self, found: Sequence[Detections]) -> CocoMetrics:
        """Measure detections in the held-out images."""
        held_out = self.held_out
        return measure_coco(held_out.true_boxes, found, held_out.sizes, self.classes, by_size=False)


def store_maps(
    backbone: Backbone, train: ImageSet, val: ImageSet, options: TrainOptions, watcher: Watcher
) -> StoredImages:
    """Run a frozen backbone once for each view of each image.

    Args:
        backbone: The backbone, whose preprocessing pads.
        train: The training images.
        val: The validation part; if it is empty, a part of the training images is held out.
        options: How the detector is trained.
        watcher: Follows the stages.

    Raises:
        OptionError: The maps take more space than there is.
        StoreError: They cannot be written.
    """
    with watcher.stage("Preparing the network"):
        maps = FrozenMaps.of(FeatureExtractor.of(backbone, options))
    with watcher.stage("Computing the maps") as progress:
        parts = [LabelledImages.of(part, train.classes) for part in (train, val) if len(part)]
        recipe, plans = _planned(parts, len(train.classes), maps, options)
        needed, limit = sum(map(maps.size_of, plans)), options.store_gb * 1e9
        validation = f", and of {_count(len(val), 'validation image')}," if len(val) else ""
        tiles = f", cut into {_count(len(plans[0].tiles), 'tile')}," if options.tiles else ""
        watcher.note(
            f"The maps of {_count(len(train), 'image')}{tiles} in {_count(recipe.views, 'view')}"
            f"{validation} take {_megabytes(needed)} in the cache."
        )
        maps.check_room(plans, limit)
        examples, *validated = (
            DetectionExamples.of(
                maps.stored(plan, limit=limit, progress=progress), plan, part.boxes
            )
            for plan, part in zip(plans, parts, strict=True)
        )
    if validated:
        learnt, held_out, chosen_on = examples, validated[0], "val"
    else:
        rows, others = _folds(train, options.seed)
        learnt, held_out, chosen_on = examples.take(rows), examples.take(others), "train"
    return StoredImages(
        *(maps, recipe, train.classes, examples, learnt, held_out, chosen_on), store_bytes=needed
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else "less than 1 MB"


def _planned(
    parts: Sequence[LabelledImages], classes: int, maps: FrozenMaps, options: TrainOptions
) -> tuple[DetectionRecipe, list[DetectionViews]]:
    """Return the recipe, and the views of the images of each part, the training part first.

    Unless the user says how many, there are as many views as there is space for.
    """
    plans = [
        DetectionViews(
            *(part.files, part.sizes, maps.extractor.preprocess),
            views=1,
            seed=options.seed,
            side=options.tiles,
        )
        for part in parts
    ]
    recipe = recipe_of(options, len(plans[0].tiles), classes)
    if "views" not in options.given():
        free = options.store_gb * 1e9 - sum(map(maps.size_of, plans[1:]))
        recipe = replace(
            recipe, views=max(2, min(recipe.views, int(free / maps.size_of(plans[0]))))
        )
    return recipe, [replace(plans[0], views=recipe.views), *plans[1:]]


def store_below(
    stored: StoredImages, part: str, options: TrainOptions, watcher: Watcher
) -> tuple[StoredImages, nn.Module]:
    """Run what is below a part of the backbone once for each view of the same images.

    Args:
        stored: The images.
        part: The part, such as "stages:2".
        options: How the detector is trained.
        watcher: Follows the stages.

    Returns:
        The images with what was computed; and the part, which computes the maps from that.

    Raises:
        OptionError: The output takes more space than there is.
        BackboneError: The network cannot be cut.
        StoreError: The output cannot be written.
    """
    with watcher.stage("Preparing the stages"):
        maps, above = stored.maps.below(part)
    plans = list({id(one.plan): one.plan for one in (stored.train, stored.held_out)}.values())
    needed, limit = sum(map(maps.size_of, plans)), options.store_gb * 1e9
    watcher.note(f"The output below {part} takes {_megabytes(needed)} in the cache.")
    maps.check_room(plans, limit)
    with watcher.stage("Computing what is below") as progress:
        rows = {id(plan): maps.stored(plan, limit=limit, progress=progress) for plan in plans}
    train, learnt, held_out = (
        replace(one, source=rows[id(one.plan)])
        for one in (stored.train, stored.learnt, stored.held_out)
    )
    below = replace(
        stored, maps=maps, train=train, learnt=learnt, held_out=held_out, store_bytes=needed
    )
    return below, above


def recipe_of(options: TrainOptions, images: int, classes: int) -> DetectionRecipe:
    """Return the recipe for so many training images or tiles, with what the user has given."""
    given = options.given()
    names = ("learning_rate", "batch_size", "views", "epochs")
    chosen = {name: given[name] for name in names if name in given}
    epochs, views = epochs_for(images, classes), views_for(images)
    recipe = replace(DetectionRecipe(epochs=epochs, views=views, seed=options.seed), **chosen)
    return replace(recipe, batch_size=max(2, min(recipe.batch_size, images)))


def _folds(train: ImageSet, seed: int) -> tuple[Rows, Rows]:
    """Return the numbers of the images to learn from, and of those to hold out."""
    with suppress(DataError):  # There are too few images to hold some out.
        return train.folds(_FOLDS, seed=seed)[0]
    return np.arange(len(train)), np.zeros(0, np.int64)
