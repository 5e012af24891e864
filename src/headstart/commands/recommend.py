"""Recommend: try backbones on the images themselves, and name one to take."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from headstart.arrays import Features, Flags, Folds
from headstart.backbones.backbone import Backbone, load_backbone, resized, suitable_size
from headstart.backbones.catalogue import CATALOGUE, architecture_of
from headstart.backbones.weights import weights_here
from headstart.commands.opening import open_checked
from headstart.commands.runs import reserved_folder, write_recommendation
from headstart.commands.watching import Silence, Watcher
from headstart.data.images import ImageSet
from headstart.data.sources import data_name
from headstart.data.splits import stratified_folds, stratified_sample
from headstart.engines.engine import Engine
from headstart.engines.timing import rates_in_turns
from headstart.errors import BackboneError, OptionError
from headstart.evaluation.intervals import wilson
from headstart.evaluation.recommendation import Rated, front, recommended
from headstart.evaluation.transferability import knn_accuracy, log_me
from headstart.features.extractor import FeatureExtractor
from headstart.heads.problem import Problem, effort_for
from headstart.heads.specs import LinearHead
from headstart.options import RecommendOptions, TryOptions, cache_folder
from headstart.record import Interval

_ROUNDS, _SECONDS, _LIMIT = 3, 0.4, 10.0
# Parameters of the networks that wait for their turns in memory: about 1 GB.
_WAITING = 250_000_000


@dataclass(frozen=True)
class BackboneTrial:
    """What a backbone did on a sample of the images.

    Attributes:
        name: How the user called it.
        weights: Where they came from.
        image_size: Side of the square that it saw, in pixels.
        parameters: How many numbers it has learnt.
        features: What the probe read best: "last" or "multilevel".
        accuracy: Of the probe on held-out folds.
        accuracy_ci95: Wilson interval.
        knn_accuracy: Of the ten nearest training images, on the same folds.
        log_me: Logarithm of maximum evidence (You et al., 2021); higher is better.
        images_per_second: Of the network on this machine, timed in turns with the others.
        seconds: What trying it took, timing apart.
        taken: Whether it is the recommended one.
        on_front: Whether no other is both faster and more accurate.
    """

    name: str
    weights: str
    image_size: int
    parameters: int
    features: str
    accuracy: float
    accuracy_ci95: Interval
    knn_accuracy: float
    log_me: float
    images_per_second: float
    seconds: float
    taken: bool = False
    on_front: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return self.__dict__ | {"accuracy_ci95": list(self.accuracy_ci95)}


@dataclass(frozen=True)
class Recommendation:
    """Which backbone to take, and what it was chosen from.

    Attributes:
        recommended: Name of the backbone.
        weights: Of the backbone.
        why: A sentence without its name.
        images: How many images were tried.
        backbones: Best accuracy first.
        run: The folder that was written, if one was.
    """

    recommended: str
    weights: str
    why: str
    images: int
    backbones: tuple[BackboneTrial, ...]
    run: Path | None = None

    def summary(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return {
            "recommended": self.recommended,
            "weights": self.weights,
            "why": self.why,
            "images": self.images,
            "backbones": [one.to_dict() for one in self.backbones],
        }


def recommend(
    data: str | os.PathLike[str],
    *,
    watcher: Watcher | None = None,
    **options: Any,  # noqa: ANN401
) -> Recommendation:
    """Try backbones on a sample of labelled images and say which one to take.

    Only training images are looked at. The features that this computes are used by `train`.

    Args:
        data: See `train`.
        watcher: Told how far it is.
        options: See `RecommendOptions`.

    Raises:
        HeadstartError: The data, a backbone or an option cannot be used; the text says why.
    """
    return run_recommendation(data, RecommendOptions.of(**options), watcher or Silence())


def run_recommendation(
    data: str | os.PathLike[str], options: RecommendOptions, watcher: Watcher
) -> Recommendation:
    """Do `recommend` with options that are built already."""
    candidates = candidates_of(options.backbones)
    name = f"{data_name(Path(data))}-backbones"
    with reserved_folder(options.out, name, overwrite=options.overwrite) as run:
        images = open_checked(data, options, watcher)
        result = try_backbones(images.train, candidates, options, watcher)
        write_recommendation(run, images.name, str(data), result.summary())
    return replace(result, run=run)


def candidates_of(names: str | None) -> list[tuple[str, str]]:
    """Give the backbones to try as (name, weights).

    Args:
        names: NAME or NAME=WEIGHTS, separated by commas; None is what is on this machine.

    Raises:
        OptionError: One is named twice.
        UnknownBackbone: There is no such architecture.
    """
    if names is None:
        here = [entry for entry in CATALOGUE if weights_here(entry.architecture)]
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
        yield sized_for(backbone, train) if options.image_size is None else backbone


def sized_for(backbone: Backbone, images: ImageSet) -> Backbone:
    """Let a backbone see large photos a little larger than it was trained on, if it can."""
    sides = np.minimum(images.table["width"].to_numpy(), images.table["height"].to_numpy())
    size = suitable_size(backbone, int(np.median(sides)))
    if size == backbone.preprocess.size:
        return backbone
    with suppress(BackboneError):
        return resized(backbone, size)
    return backbone


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
    files = list(zip(sample.paths, sample.sha256s, strict=True))
    with watcher.stage(f"Trying {backbone.name}") as progress:
        features, _ = extractor.of_files(files, progress=progress, warn=watcher.warn)
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
        speeds = rates_in_turns(
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
