"""Fit a detector: a head on stored maps and, if it helps, the last stages of the backbone."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from headstart.answers import Thresholds
from headstart.backbones.backbone import with_weights
from headstart.boxes import Detections
from headstart.detection.recipe import epochs_for, tuning_recipe
from headstart.detection.stages import StagesWithHead
from headstart.detection.stored import StoredImages, store_below
from headstart.detection.training import DetectionTraining, Diverged
from headstart.detection.trainings import Trainings
from headstart.errors import OptionError
from headstart.evaluation.boxes.likely_missing import LikelyMissing, find_likely_missing
from headstart.evaluation.boxes.thresholds import choose_thresholds
from headstart.heads.boxes.network import BoxHead
from headstart.heads.boxes.points import Points
from headstart.heads.boxes.shape import BoxHeadShape
from headstart.options import TrainOptions
from headstart.predictor.detector import Detector, head_tensors
from headstart.record import DetectionCourse, DetectionTuning
from headstart.task import Task
from headstart.tuning.trainings import mark_finished, training_folder
from headstart.tuning.unfreezing import Unfrozen, unfrozen
from headstart.watching import Watcher

_AUTO_PART = "stages:2"
_CONFIDENT = "precision=0.9"


@dataclass(frozen=True)
class FittedDetector:
    """A detector and the course of its training.

    Attributes:
        detector: The detector.
        course: The course of its training.
        checkpoints: The folder of its checkpoints; None without.
        confident: The probabilities from which 90% of the detections in the held-out images are
            right.
        missing: Boxes that are probably missing in the labels of the held-out images; their rows
            are those of the part that these are from.
        usual_epochs: The number of epochs of a training for which the user names none.
    """

    detector: Detector
    course: DetectionCourse
    checkpoints: Path | None
    confident: Thresholds
    missing: tuple[LikelyMissing, ...]
    usual_epochs: int


@dataclass(frozen=True)
class _Fitted:
    """What has been trained so far.

    Attributes:
        chosen: The head of the training in which images were held out.
        head: The head that is kept: the same, or that of a training on all images.
        found: The detections of the former in the held-out images.
        weights: The weights of the backbone; None if it is frozen.
    """

    chosen: BoxHead
    head: BoxHead
    found: list[Detections]
    weights: dict[str, Tensor] | None = None


def fit_detector(
    stored: StoredImages,
    options: TrainOptions,
    *,
    task: Task,
    checkpoints: Path | None,
    watcher: Watcher,
) -> FittedDetector:
    """Train a head on stored maps, fine-tune the last stages if asked to, choose the thresholds.

    The best epoch, whether tuned stages are kept, and the thresholds are decided on held-out
    images. If these are training images, what was decided is trained again on all of them.

    Args:
        stored: The images and their maps.
        options: How the detector is trained.
        task: The task.
        checkpoints: Folder of the checkpoints of all trainings of this data; None for none.
        watcher: Follows the stages.

    Raises:
        TuningError: The training of the head diverged in its first epoch, or cannot be resumed.
    """
    part = part_of(options)
    extractor, identity = stored.maps.extractor, stored.identity() | {"tune": part}
    points = Points.of(_shape(stored).levels, extractor.preprocess.size)
    planned = (1 if part == "none" else 2) * (2 if stored.can_refit else 1)
    with training_folder(checkpoints, identity, resume=options.resume, warn=watcher.warn) as folder:
        trainings = Trainings(points, options, folder, identity, planned, watcher)
        fitted, course = _fit_head(trainings, stored)
        if part != "none" and not len(stored.held_out):
            watcher.warn(
                "There are too few images to hold some out, which would decide about fine-tuning, "
                "so the backbone stays frozen."
            )
        elif part != "none":
            with unfrozen(extractor.backbone, extractor.device) as backbone:
                backbone.unfreeze(part)
                try:
                    below, above = store_below(stored, part, options, watcher)
                    fitted, course = _tune(part, trainings, below, above, backbone, fitted, course)
                except (Diverged, OptionError) as error:
                    watcher.warn(f"Fine-tuning failed, so the backbone stays frozen: {error}")
        mark_finished(folder)
    matches, held_out = stored.measure(fitted.found).matches, stored.held_out
    confident = choose_thresholds(matches, stored.classes, _CONFIDENT)
    missing = find_likely_missing(held_out.true_boxes, fitted.found, confident)
    frozen = extractor.backbone
    detector = Detector(
        task,
        stored.classes,
        with_weights(frozen, fitted.weights) if fitted.weights else frozen,
        fitted.head.shape,
        head_tensors(fitted.head),
        choose_thresholds(matches, stored.classes, options.operating_point),
        extractor.device,
        extractor.precision,
        extractor.cache,
        tiles=stored.train.plan.side,
    )
    rows = held_out.images.tolist()
    numbered = tuple(replace(one, row=rows[one.row]) for one in missing)
    usual = epochs_for(len(stored.train.plan.tiles), len(stored.classes))
    return FittedDetector(detector, course, folder, confident, numbered, usual)


def part_of(options: TrainOptions) -> str:
    """Return the part of the backbone that is fine-tuned, or "none"."""
    return _AUTO_PART if options.tune == "auto" else options.tune


def _fit_head(trainings: Trainings, stored: StoredImages) -> tuple[_Fitted, DetectionCourse]:
    """Train a head on the maps of the frozen backbone."""
    head, name = _new_head(stored), "the detector"
    first = trainings.run(name, head, stored, stored.recipe)
    fitted, again = _Fitted(head, head, first.detect(stored.held_out)), None
    if stored.can_refit:
        fitted = replace(fitted, head=_new_head(stored))
        again = trainings.again(name, fitted.head, stored, first)
    return fitted, _course(stored, first, again)


def _tune(
    part: str,
    trainings: Trainings,
    below: StoredImages,
    above: nn.Module,
    backbone: Unfrozen,
    frozen: _Fitted,
    course: DetectionCourse,
) -> tuple[_Fitted, DetectionCourse]:
    """Train the last stages with the head, and keep them if mAP on the held-out images rises.

    Args:
        part: The stages, such as "stages:2".
        trainings: The trainings.
        below: The images, with the output of the stages that stay frozen.
        above: The other stages, which compute the maps.
        backbone: The backbone, which has these stages.
        frozen: The head on the frozen backbone.
        course: The course of its training.
    """
    name = "the last stages"
    network = StagesWithHead(above, copy.deepcopy(frozen.chosen))
    first = trainings.run(name, network, below, tuning_recipe(below.recipe))
    tuning = DetectionTuning(
        part=part,
        kept=first.best_map > (course.best_map or 0.0),
        history=first.history,
        best_epoch=first.best_epoch,
        store_bytes=below.store_bytes,
        images_per_second=_speed(first, below),
    )
    if not tuning.kept:
        return frozen, replace(course, tuning=tuning)
    fitted = _Fitted(network.head, network.head, first.detect(below.held_out), backbone.weights())
    if below.can_refit:
        backbone.reset()
        network = StagesWithHead(above, copy.deepcopy(frozen.head))
        again = trainings.again(name, network, below, first)
        tuning = replace(tuning, refit=again.history)
        fitted = replace(fitted, head=network.head, weights=backbone.weights())
    return fitted, replace(course, tuning=tuning)


def _course(
    stored: StoredImages, first: DetectionTraining, again: DetectionTraining | None
) -> DetectionCourse:
    recipe = stored.recipe
    return DetectionCourse(
        history=first.history,
        best_epoch=first.best_epoch,
        held_out=len(stored.held_out.images),
        chosen_on=stored.chosen_on,
        views=recipe.views,
        store_bytes=stored.store_bytes,
        setting=first.setting.name,
        images_per_second=_speed(first, stored),
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        channels=recipe.channels,
        refit=again.history if again else (),
    )


def _speed(training: DetectionTraining, stored: StoredImages) -> float | None:
    seconds = sum(epoch.seconds for epoch in training.history)
    return len(training.history) * len(stored.learnt) / seconds if seconds else None


def _shape(stored: StoredImages) -> BoxHeadShape:
    return BoxHeadShape(stored.maps.shapes, len(stored.classes), channels=stored.recipe.channels)


def _new_head(stored: StoredImages) -> BoxHead:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stored.recipe.seed)
        return BoxHead(_shape(stored))
