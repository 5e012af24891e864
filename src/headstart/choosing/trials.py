"""Trials of backbones: each on the same folds of the same sample of the training images."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter

import numpy as np

from headstart.arrays import Features, Flags, Folds
from headstart.backbones.backbone import Backbone, load_backbone
from headstart.backbones.catalogue import CATALOGUE, architecture_of
from headstart.backbones.weights import weights_available
from headstart.choosing.decision import Rated, front, recommended
from headstart.choosing.image_size import sized_for
from headstart.choosing.transferability import knn_accuracy, log_me
from headstart.data.images import ImageSet
from headstart.data.splits import stratified_folds, stratified_sample
from headstart.engines.engine import Engine
from headstart.engines.timing import interleaved_rates
from headstart.errors import BackboneError, OptionError
from headstart.evaluation.intervals import wilson
from headstart.features.extractor import FeatureExtractor
from headstart.heads.problem import Problem, effort_for
from headstart.heads.specs import LinearHead
from headstart.options import TryOptions, cache_folder
from headstart.record import BackboneTrial, Recommendation
from headstart.watching import Watcher

_ROUNDS, _SECONDS, _LIMIT = 3, 0.4, 10.0
# Parameters of the networks that wait for their turns in memory: about 1 GB.
_WAITING = 250_000_000


def candidates_of(names: str | None) -> list[tuple[str, str]]:
    """Return the backbones to try as (name, weights).

    Args:
        names: NAME or NAME=WEIGHTS, separated by commas; None is what is on this machine.

    Raises:
        OptionError: One is named twice.
        UnknownBackbone: There is no such architecture.
    """
    if names is None:
        here = [entry for entry in CATALOGUE if weights_available(entry.architecture)]
        return [(entry.name, "imagenet") for entry in here]
    pairs = [one.strip().partition("=") for one in names.split(",") if one.strip()]
    candidates = [(name, weights or "imagenet") for name, _, weights in pairs]
    if not candidates:
        raise OptionError("backbones must name at least one, like efficientnet-lite0,resnet50.")
    meant = [(architecture_of(name), weights) for name, weights in candidates]
    if len(set(meant)) < len(meant):
        raise OptionError(f"backbones names one twice: '{names}'.")
    return candidates


def try_backbones(
    train: ImageSet,
    candidates: Sequence[tuple[str, str]],
    options: TryOptions,
    watcher: Watcher,
) -> Recommendation:
    """Rate each backbone on the same folds of the same sample of the training images."""
    rows = stratified_sample(train.strata, options.sample, seed=options.seed)
    sample = train if rows is None else train.take(rows)
    classes = len(train.classes)
    folds = stratified_folds(
        sample.strata,
        sample.groups,
        folds=effort_for(len(sample), classes).folds,
        seed=options.seed,
    )
    tried: list[tuple[Rated, BackboneTrial]] = []
    waiting: list[_Waiting] = []
    for backbone in _loaded(candidates, train, options, watcher):
        waiting.append(_try(backbone, sample, folds, options, watcher))
        if sum(one.parameters for one in waiting) > _WAITING:
            tried += _timed(waiting, watcher)
            waiting = []
    tried += _timed(waiting, watcher)
    if not tried:
        raise BackboneError("None of the backbones can be loaded; the reasons are above.")
    rated = [one for one, _ in tried]
    slowest = 1000 / options.budget_ms if options.budget_ms else 0.0
    taken, why = recommended(rated, slowest=slowest)
    best = front(rated)
    trials = [
        replace(trial, taken=one is taken, on_front=any(one is other for other in best))
        for one, trial in tried
    ]
    trials.sort(key=lambda one: -one.accuracy)
    return Recommendation(taken.name, taken.weights, why, len(sample), tuple(trials))


def _loaded(
    candidates: Sequence[tuple[str, str]], train: ImageSet, options: TryOptions, watcher: Watcher
) -> Iterator[Backbone]:
    """Load one after the other; with several, those that cannot be loaded are left out."""
    for name, weights in candidates:
        try:
            backbone = load_backbone(
                name, weights=weights, image_size=options.image_size, seed=options.seed
            )
        except BackboneError as error:
            if len(candidates) == 1:
                raise
            watcher.warn(f"'{name}' is left out. {error}")
            continue
        yield sized_for(backbone, train)


@dataclass(frozen=True)
class _Waiting:
    """A backbone that was tried and is still to be timed.

    Attributes:
        engine: Its engine.
        size: Side of the images, in pixels.
        parameters: How many numbers it has learnt.
        right: Which held-out images a probe told right.
        trial: Gives what it did, once its images per second are known.
    """

    engine: Engine
    size: int
    parameters: int
    right: Flags
    trial: Callable[..., BackboneTrial]


def _try(
    backbone: Backbone, sample: ImageSet, folds: Folds, options: TryOptions, watcher: Watcher
) -> _Waiting:
    begin = perf_counter()
    extractor = FeatureExtractor(
        backbone,
        cache=cache_folder(options.cache),
        device=options.device,
        precision=options.precision,
    )
    with watcher.stage(f"Trying {backbone.name}") as progress:
        features, _ = extractor.of_files(sample.files, progress=progress, warn=watcher.warn)
        right, read = _probed(extractor, features, sample, folds)
        last = features[:, extractor.layout.columns("last")]
        knn, evidence = knn_accuracy(last, sample.labels, folds), log_me(last, sample.labels)
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    trial = partial(
        BackboneTrial,
        name=backbone.name,
        weights=backbone.origin,
        image_size=backbone.preprocess.size,
        parameters=parameters,
        features=read,
        accuracy=float(right.mean()),
        accuracy_ci95=wilson(int(right.sum()), len(right)),
        knn_accuracy=knn,
        log_me=evidence,
        seconds=perf_counter() - begin,
    )
    return _Waiting(extractor.engine, backbone.preprocess.size, parameters, right, trial)


def _timed(waiting: Sequence[_Waiting], watcher: Watcher) -> list[tuple[Rated, BackboneTrial]]:
    """Time backbones in turns: a busy moment must not make one of them look slow."""
    if not waiting:
        return []
    with watcher.stage("Timing"):
        speeds = interleaved_rates(
            [(one.engine, one.size) for one in waiting],
            rounds=_ROUNDS,
            seconds=_SECONDS,
            limit=_LIMIT * len(waiting),
        )
    trials = [
        one.trial(images_per_second=speed) for one, speed in zip(waiting, speeds, strict=True)
    ]
    return [
        (Rated(trial.name, trial.weights, trial.images_per_second, one.right), trial)
        for one, trial in zip(waiting, trials, strict=True)
    ]


def _probed(
    extractor: FeatureExtractor, features: Features, sample: ImageSet, folds: Folds
) -> tuple[Flags, str]:
    """Tell which held-out images a probe tells right, and which features it read."""
    layout = extractor.layout
    columns = {name: layout.columns(name) for name in ("last", "multilevel")}
    classes = len(sample.classes)
    problem = Problem(
        features, columns, sample.labels, classes, folds, sample.task, weights=layout.weights()
    )
    fit = LinearHead().fit(problem)
    held_out = fit.held_out
    assert held_out is not None
    right = np.zeros(len(sample), dtype=np.bool_)
    right[held_out.rows] = sample.task.correct(held_out.logits, sample.labels[held_out.rows])
    return right, fit.features
