"""Trials of backbones: each on the same held-out images."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Protocol

import numpy as np

from headstart.arrays import Features, Flags, Folds
from headstart.backbones.backbone import Backbone, load_backbone
from headstart.choosing.candidates import Candidate, note_candidates, warn_of_random_weights
from headstart.choosing.decision import BackboneScore, choose_backbone, pareto_front
from headstart.choosing.image_size import sized_for
from headstart.choosing.images import TrialImages, trial_images
from headstart.choosing.probing import fit_probe
from headstart.choosing.reading import reading_as
from headstart.choosing.transferability import knn_accuracy, log_me
from headstart.data.images import ImageSet
from headstart.engines.engine import Engine
from headstart.engines.timing import interleaved_rates
from headstart.errors import BackboneError
from headstart.evaluation.intervals import wilson
from headstart.features.extractor import FeatureExtractor
from headstart.options import TryOptions
from headstart.record import BackboneTrial, Recommendation
from headstart.watching import Progress, Warn, Watcher


class Extract(Protocol):
    """Computes the features of files that are not in the store."""

    def __call__(
        self,
        extractor: FeatureExtractor,
        files: Sequence[tuple[str, str]],
        /,
        *,
        progress: Progress | None,
        warn: Warn | None,
    ) -> None:
        """See `FeatureExtractor.extract`."""
        ...


_ROUNDS, SECONDS, _LIMIT = 3, 0.4, 10.0
# Most parameters of networks that are held in memory until they are timed: about 1 GB.
MAX_HELD_PARAMETERS = 250_000_000


def try_backbones(
    train: ImageSet,
    val: ImageSet,
    candidates: Sequence[Candidate],
    options: TryOptions,
    watcher: Watcher,
    extract: Extract = FeatureExtractor.extract,
) -> Recommendation:
    """Compare backbones on the same images: folds of the training part, or the validation part.

    Args:
        train: The training part.
        val: The validation part.
        candidates: The backbones.
        options: What to compare them on.
        watcher: Follows the trials.
        extract: Computes the features that are not in the store. Default: in this process.
    """
    note_candidates(candidates, watcher)
    images = trial_images(train, val, options)
    if images.note:
        watcher.note(images.note)
    trials: list[tuple[BackboneScore, BackboneTrial]] = []
    untimed: list[_UntimedTrial] = []
    for backbone in _load_each(candidates, train, options, watcher):
        untimed.append(_measure_accuracy(backbone, images, options, watcher, extract))
        if sum(trial.parameters for trial in untimed) > MAX_HELD_PARAMETERS:
            trials += _time(untimed, watcher)
            untimed = []
    trials += _time(untimed, watcher)
    if not trials:
        raise BackboneError("None of the backbones can be loaded; the reasons are above.")
    warn_of_random_weights([trial for _, trial in trials], watcher)
    scores = [score for score, _ in trials]
    min_speed = 1000 / options.budget_ms if options.budget_ms else 0.0
    chosen, why = choose_backbone(scores, min_speed=min_speed)
    front = pareto_front(scores)
    table = [
        replace(trial, taken=score is chosen, on_front=any(score is best for best in front))
        for score, trial in trials
    ]
    table.sort(key=lambda row: -row.accuracy)
    return Recommendation(
        chosen.name, chosen.weights, why, images.measured, tuple(table), images.decider
    )


def _load_each(
    candidates: Sequence[Candidate], train: ImageSet, options: TryOptions, watcher: Watcher
) -> Iterator[Backbone]:
    """Yield backbones one at a time; if there are several, skip those that cannot be loaded."""
    for candidate in candidates:
        try:
            yield load_candidate(candidate, train, options)
        except BackboneError as error:
            if len(candidates) == 1:
                raise
            watcher.warn(f"Skipping '{candidate}'. {error}")


def load_candidate(candidate: Candidate, train: ImageSet, options: TryOptions) -> Backbone:
    """Load a backbone, at an image size that suits the images if none is given.

    Raises:
        BackboneError: It cannot be loaded.
    """
    size = candidate.image_size or options.image_size
    backbone = load_backbone(
        candidate.name, weights=candidate.weights, image_size=size, seed=options.seed
    )
    return sized_for(reading_as(backbone, train), train)


@dataclass(frozen=True)
class _UntimedTrial:
    """A backbone whose accuracy was measured, but not yet its speed.

    Attributes:
        engine: Its engine.
        size: Side of the images, in pixels.
        parameters: Number of parameters.
        correct: Which held-out images a probe predicted correctly.
        make_trial: Creates the trial from `images_per_second`.
    """

    engine: Engine
    size: int
    parameters: int
    correct: Flags
    make_trial: Callable[..., BackboneTrial]


def _measure_accuracy(
    backbone: Backbone,
    images: TrialImages,
    options: TryOptions,
    watcher: Watcher,
    extract: Extract,
) -> _UntimedTrial:
    begin, sample, folds = perf_counter(), images.images, images.folds
    extractor = FeatureExtractor.of(backbone, options)
    with watcher.stage(f"Trying {backbone.name}") as progress:
        extract(extractor, sample.files, progress=progress, warn=watcher.warn)
        features, _ = extractor.of_files(sample.files, progress=progress, warn=watcher.warn)
        correct, columns = _measure_probe(extractor, features, sample, folds)
        last = features[:, extractor.layout.columns("last")]
        knn, evidence = knn_accuracy(last, sample.labels, folds), log_me(last, sample.labels)
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    make_trial = partial(
        BackboneTrial,
        name=backbone.name,
        weights=backbone.origin,
        image_size=backbone.preprocess.size,
        parameters=parameters,
        features=columns,
        accuracy=float(correct.mean()),
        accuracy_ci95=wilson(int(correct.sum()), len(correct)),
        knn_accuracy=knn,
        log_me=evidence,
        seconds=perf_counter() - begin,
    )
    size = backbone.preprocess.size
    return _UntimedTrial(extractor.engine, size, parameters, correct, make_trial)


def _time(
    untimed: Sequence[_UntimedTrial], watcher: Watcher
) -> list[tuple[BackboneScore, BackboneTrial]]:
    """Time backbones in turns, so that a busy moment does not make one of them look slow."""
    if not untimed:
        return []
    with watcher.stage("Timing"):
        speeds = interleaved_rates(
            [(trial.engine, trial.size) for trial in untimed],
            rounds=_ROUNDS,
            seconds=SECONDS,
            limit=_LIMIT * len(untimed),
        )
    trials = [
        trial.make_trial(images_per_second=speed)
        for trial, speed in zip(untimed, speeds, strict=True)
    ]
    correct = [trial.correct for trial in untimed]
    return [
        (BackboneScore(trial.name, trial.weights, trial.images_per_second, flags), trial)
        for trial, flags in zip(trials, correct, strict=True)
    ]


def _measure_probe(
    extractor: FeatureExtractor, features: Features, sample: ImageSet, folds: Folds
) -> tuple[Flags, str]:
    """Return which held-out images a probe predicts correctly, and the features it uses."""
    fit, held_out = fit_probe(extractor, features, sample, folds)
    correct = np.zeros(len(sample), dtype=np.bool_)
    correct[held_out.rows] = sample.task.correct(held_out.logits, sample.labels[held_out.rows])
    return correct[np.sort(held_out.rows)], fit.features
