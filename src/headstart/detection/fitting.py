"""Fit a detector: the training of a head on the maps of a frozen backbone."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from headstart.detection.examples import DetectionExamples
from headstart.detection.recipe import DetectionRecipe
from headstart.detection.stored import StoredImages
from headstart.detection.training import DetectionTraining, detect
from headstart.evaluation.boxes.thresholds import choose_thresholds
from headstart.heads.boxes.losses import detection_loss
from headstart.heads.boxes.network import BoxHead
from headstart.heads.boxes.points import Points
from headstart.heads.boxes.shape import BoxHeadShape
from headstart.options import TrainOptions
from headstart.predictor.detector import Detector, head_tensors
from headstart.record import DetectionCourse
from headstart.task import Task
from headstart.tuning.pacing.timing import Setting, candidate_settings, fastest_setting
from headstart.tuning.training.checkpoint import Checkpoints
from headstart.tuning.trainings import mark_finished, training_folder
from headstart.watching import Watcher


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


def fit_detector(
    stored: StoredImages,
    options: TrainOptions,
    *,
    task: Task,
    checkpoints: Path | None,
    watcher: Watcher,
) -> FittedDetector:
    """Train a head on stored maps, and choose the thresholds.

    The best epoch and the thresholds are chosen on held-out images. If these are training images,
    a new head is then trained on all of them for as many epochs, and its last epoch is kept: the
    best of a few held-out images is often too early.

    Args:
        stored: The images and their maps.
        options: How the detector is trained.
        task: The task.
        checkpoints: Folder of the checkpoints of all trainings of this data; None for none.
        watcher: Follows the stages.

    Raises:
        TuningError: The training diverged in its first epoch, or cannot be resumed.
    """
    extractor, identity, begin = stored.maps.extractor, stored.identity(), time.perf_counter()
    points = Points.of(_shape(stored).levels, extractor.preprocess.size)
    setting = _time_step(points, stored, deterministic=options.deterministic)

    def train(
        stage: str,
        examples: DetectionExamples,
        held_out: DetectionExamples | None,
        recipe: DetectionRecipe,
        *,
        folder: Path | None,
        seconds: float | None,
    ) -> DetectionTraining:
        """Train a new head until so many seconds after the beginning."""
        with watcher.stage(stage) as progress:
            training = DetectionTraining(
                *(_new_head(stored), points, examples, held_out, recipe, setting),
                measure=stored.measure,
                checkpoints=Checkpoints(folder, identity, options.resume) if folder else None,
                deadline=begin + seconds if seconds else None,
                progress=progress,
                warn=watcher.warn,
            )
            training.run()
        return training

    limit = options.minutes * 60 if options.minutes else None
    with training_folder(checkpoints, identity, resume=options.resume, warn=watcher.warn) as folder:
        final = chosen = train(
            "Training the detector",
            stored.learnt,
            stored.held_out,
            stored.recipe,
            folder=folder and folder / "head",
            seconds=limit and (limit / 2 if stored.can_refit else limit),
        )
        if stored.can_refit:
            final = train(
                "Training it again, on all images",
                stored.train,
                None,
                replace(stored.recipe, epochs=len(chosen.history)),
                folder=folder and folder / "all",
                seconds=limit,
            )
        mark_finished(folder)
    found = detect(chosen.head, points, stored.held_out, setting) if stored.held_out else []
    matches = stored.measure(found).matches
    detector = Detector(
        *(task, stored.classes, extractor.backbone, final.head.shape, head_tensors(final.head)),
        thresholds=choose_thresholds(matches, stored.classes, options.operating_point),
        device=extractor.device,
        precision=extractor.precision,
        cache=extractor.cache,
        tiles=stored.train.plan.side,
    )
    return FittedDetector(detector, _course(stored, chosen, final, setting), folder)


def _course(
    stored: StoredImages, chosen: DetectionTraining, final: DetectionTraining, setting: Setting
) -> DetectionCourse:
    recipe, seconds = stored.recipe, sum(epoch.seconds for epoch in chosen.history)
    images = len(chosen.history) * len(stored.learnt)
    return DetectionCourse(
        history=chosen.history,
        best_epoch=chosen.best_epoch,
        held_out=len(stored.held_out.images),
        chosen_on=stored.chosen_on,
        views=recipe.views,
        store_bytes=stored.store_bytes,
        setting=setting.name,
        images_per_second=images / seconds if seconds else None,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        channels=recipe.channels,
        refit=final.history if final is not chosen else (),
    )


def _shape(stored: StoredImages) -> BoxHeadShape:
    return BoxHeadShape(stored.maps.shapes, len(stored.classes), channels=stored.recipe.channels)


def _new_head(stored: StoredImages) -> BoxHead:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stored.recipe.seed)
        return BoxHead(_shape(stored))


def _time_step(points: Points, stored: StoredImages, *, deterministic: bool) -> Setting:
    """Return the fastest setting for a training step."""
    extractor, recipe = stored.maps.extractor, stored.recipe
    settings = candidate_settings(device=extractor.device, bf16=extractor.allows_bf16)
    if deterministic:
        return settings[0]
    rows, truth = next(stored.learnt.batches(0, recipe.batch_size, recipe.seed))
    return fastest_setting(
        _new_head(stored),
        rows,
        lambda outputs: detection_loss(outputs.cpu(), points, truth),
        settings,
    )
