"""Fit a detector: the maps of a frozen backbone once, and the training of a head on them."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from headstart.arrays import Rows
from headstart.backbones.backbone import Backbone
from headstart.boxes import Boxes, Detections
from headstart.data.boxes.image_sizes import read_sizes
from headstart.data.boxes.labels import boxes_of
from headstart.data.images import ImageSet
from headstart.detection.examples import DetectionExamples
from headstart.detection.maps import FrozenMaps
from headstart.detection.recipe import DetectionRecipe, epochs_for
from headstart.detection.training import DetectionTraining, detect
from headstart.detection.views import DetectionViews
from headstart.errors import DataError
from headstart.evaluation.boxes.coco_metrics import CocoMetrics, measure_coco
from headstart.evaluation.boxes.thresholds import choose_thresholds
from headstart.features.extractor import FeatureExtractor
from headstart.heads.boxes.losses import detection_loss
from headstart.heads.boxes.network import BoxHead
from headstart.heads.boxes.points import Points
from headstart.heads.boxes.shape import BoxHeadShape
from headstart.options import TrainOptions, cache_folder
from headstart.predictor.detector import Detector, head_tensors
from headstart.record import DetectionCourse
from headstart.task import Task
from headstart.tuning.pacing.timing import Setting, candidate_settings, fastest_setting
from headstart.tuning.training.checkpoint import Checkpoints
from headstart.tuning.trainings import mark_finished, training_folder
from headstart.watching import Watcher

_FOLDS = 7
"""One of so many parts of the training images is held out, to choose the epoch and thresholds."""


@dataclass(frozen=True)
class FittedDetector:
    """A detector and the course of its training.

    Attributes:
        detector: The detector.
        course: The course of its training.
        checkpoints: The folder of its checkpoints; None without.
    """

    detector: Detector
    course: DetectionCourse
    checkpoints: Path | None


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

    def take(self, rows: Rows) -> "LabelledImages":
        """Return the images with the given numbers."""
        chosen = rows.tolist()
        return LabelledImages(
            tuple(self.files[row] for row in chosen),
            tuple(self.sizes[row] for row in chosen),
            tuple(self.boxes[row] for row in chosen),
        )

    def __len__(self) -> int:
        return len(self.files)


@dataclass(frozen=True)
class StoredImages:
    """Images whose maps are in the boundary store, ready for the training of a head.

    Attributes:
        maps: The frozen backbone.
        recipe: Hyperparameters.
        train: The images to learn from.
        held_out: The images on which the epoch and the thresholds are chosen; may be empty.
        chosen_on: Where the latter are from: "val", or "train" for the training part.
        examples: The maps of the views of the former.
        measured: The maps of the latter; None without any.
        store_bytes: The size of both stores.
    """

    maps: FrozenMaps
    recipe: DetectionRecipe
    train: LabelledImages
    held_out: LabelledImages
    chosen_on: str
    examples: DetectionExamples
    measured: DetectionExamples | None
    store_bytes: int

    def identity(self, classes: Sequence[str]) -> dict[str, object]:
        """Return what must be equal for a training to be resumed."""
        return {
            "epochs": self.recipe.epochs,  # Read by `Training`, which says how far it has come.
            "recipe": asdict(self.recipe),
            "maps": self.maps.extractor.fingerprint.key,
            "classes": list(classes),
            "images": [sha256 for _, sha256 in self.train.files],
            "boxes": [boxes.corners.tolist() for boxes in self.train.boxes],
            "held_out": [sha256 for _, sha256 in self.held_out.files],
        }

    def measure(self, found: Sequence[Detections], classes: Sequence[str]) -> CocoMetrics:
        """Measure detections in the held-out images."""
        held_out = self.held_out
        return measure_coco(held_out.boxes, found, held_out.sizes, classes, by_size=False)


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
    recipe = recipe_of(options, len(train))
    learnt, held_out, chosen_on = _parts(train, val, options.seed)
    with watcher.stage("Preparing the network"):
        maps = FrozenMaps.of(
            FeatureExtractor(
                backbone,
                cache=cache_folder(options.cache),
                device=options.device,
                precision=options.precision,
            )
        )
    with watcher.stage("Computing the maps") as progress:
        plans = [
            DetectionViews(part.files, part.sizes, backbone.preprocess, views, recipe.seed)
            for part, views in ((learnt, recipe.views), (held_out, 1))
        ]
        needed, limit = sum(map(maps.size_of, plans)), options.store_gb * 1e9
        watcher.note(
            f"The maps of {len(learnt):,} images in {recipe.views} views and of {len(held_out):,} "
            f"held-out images take {needed / 1e6:,.0f} MB in the cache."
        )
        maps.check_room(plans, limit)
        examples, measured = (
            DetectionExamples(maps.stored(plan, limit=limit, progress=progress), plan, part.boxes)
            if len(part)
            else None
            for plan, part in zip(plans, (learnt, held_out), strict=True)
        )
    assert examples is not None
    return StoredImages(maps, recipe, learnt, held_out, chosen_on, examples, measured, needed)


def fit_detector(
    stored: StoredImages,
    classes: tuple[str, ...],
    options: TrainOptions,
    *,
    task: Task,
    checkpoints: Path | None,
    watcher: Watcher,
) -> FittedDetector:
    """Train a head on stored maps, and choose the thresholds.

    Args:
        stored: The images and their maps.
        classes: The names of the classes.
        options: How the detector is trained.
        task: The task.
        checkpoints: Folder of the checkpoints of all trainings of this data; None for none.
        watcher: Follows the stages.

    Raises:
        TuningError: The training diverged in its first epoch, or cannot be resumed.
    """
    extractor, measured = stored.maps.extractor, stored.measured
    points, head = _new_head(stored, len(classes))
    setting = _time_step(head, points, stored, deterministic=options.deterministic)
    identity = stored.identity(classes)

    def measure(found: list[Detections]) -> tuple[float, float]:
        result = stored.measure(found, classes)
        return result.map or 0.0, result.map50 or 0.0

    with (
        training_folder(checkpoints, identity, resume=options.resume, warn=watcher.warn) as folder,
        watcher.stage("Training the detector") as progress,
    ):
        training = DetectionTraining(
            *(head, points, stored.examples, measured, stored.recipe, setting),
            measure=measure,
            checkpoints=Checkpoints(folder / "head", identity, options.resume) if folder else None,
            deadline=time.perf_counter() + options.minutes * 60 if options.minutes else None,
            progress=progress,
            warn=watcher.warn,
        )
        training.run()
        mark_finished(folder)
    found = detect(head, points, measured, setting) if measured else []
    matches = stored.measure(found, classes).matches
    detector = Detector(
        *(task, classes, stored.maps.extractor.backbone, head.shape, head_tensors(head)),
        thresholds=choose_thresholds(matches, classes, options.operating_point),
        device=extractor.device,
        precision=extractor.precision,
        cache=extractor.cache,
    )
    return FittedDetector(detector, _course(stored, training, setting), folder)


def _course(stored: StoredImages, training: DetectionTraining, setting: Setting) -> DetectionCourse:
    recipe, seconds = stored.recipe, sum(epoch.seconds for epoch in training.history)
    images = len(training.history) * len(stored.train)
    return DetectionCourse(
        history=training.history,
        best_epoch=training.best_epoch,
        held_out=len(stored.held_out),
        chosen_on=stored.chosen_on,
        views=recipe.views,
        store_bytes=stored.store_bytes,
        setting=setting.name,
        images_per_second=images / seconds if seconds else None,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        channels=recipe.channels,
    )


def recipe_of(options: TrainOptions, images: int) -> DetectionRecipe:
    """Return the recipe for so many training images, with what the user has given."""
    given = options.given()
    names = ("learning_rate", "batch_size", "views", "epochs")
    chosen = {name: given[name] for name in names if name in given}
    recipe = DetectionRecipe(epochs=epochs_for(images), seed=options.seed)
    recipe = replace(recipe, **chosen)
    return replace(recipe, batch_size=max(2, min(recipe.batch_size, images)))


def _parts(train: ImageSet, val: ImageSet, seed: int) -> tuple[LabelledImages, LabelledImages, str]:
    """Return the images to train on, those that are held out, and where the latter are from."""
    images = LabelledImages.of(train, train.classes)
    if len(val):
        return images, LabelledImages.of(val, train.classes), "val"
    with suppress(DataError):  # There are too few images to hold some out.
        learnt, held_out = train.folds(_FOLDS, seed=seed)[0]
        return images.take(learnt), images.take(held_out), "train"
    return images, images.take(np.zeros(0, np.int64)), "train"


def _new_head(stored: StoredImages, classes: int) -> tuple[Points, BoxHead]:
    shape = BoxHeadShape(stored.maps.shapes, classes, channels=stored.recipe.channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stored.recipe.seed)
        head = BoxHead(shape)
    return Points.of(shape.levels, stored.maps.extractor.preprocess.size), head


def _time_step(
    head: BoxHead, points: Points, stored: StoredImages, *, deterministic: bool
) -> Setting:
    """Return the fastest setting for a training step."""
    extractor, recipe = stored.maps.extractor, stored.recipe
    settings = candidate_settings(device=extractor.device, bf16=extractor.allows_bf16)
    if deterministic:
        return settings[0]
    rows, truth = next(stored.examples.batches(0, recipe.batch_size, recipe.seed))
    return fastest_setting(
        head, rows, lambda outputs: detection_loss(outputs.cpu(), points, truth), settings
    )
