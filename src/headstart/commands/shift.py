"""Shift: how far unlabelled images are from the training images of a model."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.stats import mannwhitneyu

from headstart.arrays import Flags, Floats, Numbers, Probabilities
from headstart.commands.image_files import Volumes, count_of, found_images
from headstart.data.decoding import sha256_of
from headstart.data.inputs import ImagesLike
from headstart.data.traits import NAMES, trait_values
from headstart.errors import DataError, OptionError, UnreadableImage
from headstart.evaluation.intervals import wilson
from headstart.evaluation.known_images import FALSE_ALARMS, KnownImages
from headstart.evaluation.shift import estimate_accuracy, label_first
from headstart.evaluation.slices import holm
from headstart.evaluation.two_sample import two_sample_test
from headstart.options import ShiftOptions
from headstart.predictor.detector import Detector
from headstart.predictor.observing import observe
from headstart.predictor.predictor import Predictor
from headstart.record import Rejection
from headstart.record.shift import ALARM, MovedTrait, ShiftRecord, StrangeImage
from headstart.runs.answer_log import is_answer_log, logged_features
from headstart.tasks.loading import AnyModel, model_of, read_model
from headstart.watching import Watcher

MIN_IMAGES = 20
"""Fewer images cannot be compared with the training images."""

# With more unknown images, estimates were 10 to 60 points too high. See docs/decisions/limits.md.
_MAX_UNKNOWN = 0.5

_UNLIKE = 20
# With more images that the model was trained on, nothing is compared.
_MAX_SEEN = 0.1
_COLOURS = ("red", "green", "blue")
_MEASURED = 200


@dataclass
class _Read:
    """Images that were read.

    Attributes:
        names: The name of each, as the user passed it.
        paths: Where each is; "" for images in memory.
        sha256s: The hash of each, if they are from a log.
        points: Their points, in batches.
        strangeness: How unlike the training images each is, in batches.
        probabilities: The probabilities of the classes in them, in batches.
        rejected: Images that cannot be read.
    """

    names: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    sha256s: list[str] = field(default_factory=list)
    points: list[Floats] = field(default_factory=list)
    strangeness: list[Numbers] = field(default_factory=list)
    probabilities: list[Probabilities] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)


def run_shift(
    model: str | os.PathLike[str], images: ImagesLike, options: ShiftOptions, watcher: Watcher
) -> ShiftRecord:
    """Run `shift` with validated options."""
    bundle = read_model(model)
    trained = model_of(bundle, model, options)
    known = trained.limits.known
    if known is None:
        raise OptionError(
            f"'{model}' does not keep its training images as points, so other images cannot be "
            f"compared with them: it was trained by an earlier version{_otherwise(trained)}."
        )
    log = _log(images)
    read = (
        _read_log(trained, known, log, bundle.version)
        if log
        else _read(trained, known, images, options, watcher)
    )
    if not read.names:
        first = "".join(f" '{one.image}': {one.reason}." for one in read.rejected[:1])
        raise DataError(f"No image can be read, so there is nothing to compare.{first}")
    with watcher.stage("Comparing"):
        record = _record(str(model), trained, known, read, options)
    for warning in record.warnings:
        watcher.warn(warning)
    return record


def _otherwise(model: AnyModel) -> str:
    """Return why else a model does not keep its training images as points."""
    if isinstance(model, Detector):
        return ", or on fewer than 20 images or groups of them"
    return (
        ", on fewer than 20 images or groups of them, or on unpooled features (flatten, tutorial)"
    )


def _log(images: ImagesLike) -> Path | None:
    """Return the folder of a log of a server, if that is what was passed."""
    one = images[0] if isinstance(images, (list, tuple)) and len(images) == 1 else images
    if isinstance(one, (str, os.PathLike)) and is_answer_log(Path(one)):
        return Path(one)
    return None


def _read_log(model: AnyModel, known: KnownImages, log: Path, version: str) -> _Read:
    """Read the features in a log. Its images have no names: they are called by their hash.

    Raises:
        DataError: The log has no features of this model.
    """
    if not isinstance(model, Predictor):
        raise DataError(
            f"'{log}' is the log of a server, which has no features of the images that a detector "
            "of boxes answered. Pass the images themselves."
        )
    read = _Read()
    for some in logged_features(log, version):
        read.points.append(known.points_of(some.features))
        read.strangeness.append(known.strangeness(some.features))
        read.probabilities.append(model.probabilities(some.features))
        read.names += some.sha256s
        read.sha256s += some.sha256s
    if not read.names:
        raise DataError(
            f"The log '{log}' has no features of this version of the model, {version}. Serve it "
            "with --log-features."
        )
    return read


def _read(
    model: AnyModel,
    known: KnownImages,
    images: ImagesLike,
    options: ShiftOptions,
    watcher: Watcher,
) -> _Read:
    found = found_images(images, watcher.warn)
    count = count_of(found)
    volumes = Volumes.of(model.contract, options.cache)
    read = _Read()
    with watcher.stage("Reading images") as progress:
        for some in observe(model, volumes.unpacked(found)):
            if len(some.features):
                read.points.append(known.points_of(some.features))
                read.strangeness.append(known.strangeness(some.features))
                read.probabilities.append(some.probabilities)
            for image in some.images:
                _add(read, image, volumes)
            done = len(read.names) + len(read.rejected)
            progress(done, max(done, count))
    return read


def _add(read: _Read, image: str | UnreadableImage, volumes: Volumes) -> None:
    if isinstance(image, UnreadableImage):
        name, error = volumes.named(image.path, image.reason)
        read.rejected.append(Rejection(name, str(error)))
        return
    read.names.append(volumes.named(image)[0])
    read.paths.append(image if Path(image).is_file() else "")


def _record(
    name: str,
    model: AnyModel,
    known: KnownImages,
    read: _Read,
    options: ShiftOptions,
) -> ShiftRecord:
    points, strangeness = np.concatenate(read.points), np.concatenate(read.strangeness)
    probabilities = np.concatenate(read.probabilities)
    rows_seen = _seen(read, known)
    seen = int(rows_seen.sum())
    enough = len(points) >= MIN_IMAGES and seen <= _MAX_SEEN * len(points)
    test = two_sample_test(known.points[known.fitted :], points) if enough else None
    calibration = None if model.thresholds else model.limits.calibration
    unknown = int((strangeness > 1).sum())
    familiar = unknown <= _MAX_UNKNOWN * len(points)
    accuracy, interval = (
        estimate_accuracy(calibration, probabilities)
        if calibration and enough and familiar
        else (None, None)
    )
    order = np.argsort(-strangeness, kind="stable")
    new = np.flatnonzero(~rows_seen)  # Training images have labels.
    first = label_first(
        points[new], _uncertainty(probabilities[new]), known.points, options.label_first
    )
    return ShiftRecord(
        model=name,
        images=len(points),
        seen=seen,
        auroc=test.auroc if test else None,
        p=test.p if test else None,
        unknown=unknown / len(points),
        unknown_ci95=wilson(unknown, len(points)),
        false_alarms=FALSE_ALARMS,
        estimated_accuracy=accuracy,
        ci95=interval,
        held_out_accuracy=float(calibration.correct.mean()) if calibration else None,
        unlike=tuple(
            StrangeImage(read.names[row], float(strangeness[row])) for row in order[:_UNLIKE]
        ),
        traits=tuple(_moved(model, read.paths)),
        label_first=tuple(read.names[row] for row in new[first]),
        rejected=tuple(read.rejected),
        warnings=tuple(
            _warnings(len(points), seen, familiar=familiar, estimates=calibration is not None)
        ),
    )


def _uncertainty(probabilities: Probabilities) -> Numbers:
    """Return how uncertain the least certain label of each image is, 0 to 1, (images,)."""
    doubts: Numbers = (4 * probabilities * (1 - probabilities)).max(axis=1)
    return doubts


def _seen(read: _Read, known: KnownImages) -> Flags:
    """Return which images the model was trained on, (images,)."""
    hashes = set(known.sha256s)
    found = read.sha256s or [sha256_of(path) if path else "" for path in read.paths]
    return np.array([sha256 in hashes for sha256 in found], dtype=np.bool_)


def _moved(model: AnyModel, paths: Sequence[str]) -> Iterator[MovedTrait]:
    """Yield the statistics of the pictures that differ by more than chance."""
    before, files = model.limits.traits, [path for path in paths if path]
    if before is None or len(files) < MIN_IMAGES:
        return
    rows = np.random.default_rng(0).permutation(len(files))[:_MEASURED]
    now = trait_values([files[row] for row in rows], model.contract)
    columns = {
        name: (_finite(old), _finite(new))
        for name, old, new in zip(NAMES, before.T, now.T, strict=True)
    }
    adjusted = holm(
        {
            name: float(mannwhitneyu(old, new).pvalue)
            for name, (old, new) in columns.items()
            if len(old) and len(new)
        }
    )
    for name, p in adjusted.items():
        old, new = columns[name]
        if p < ALARM and not (name in _COLOURS and _equal(columns, name)):
            yield MovedTrait(name, float(np.median(old)), float(np.median(new)), p)


def _equal(columns: Mapping[str, tuple[Floats, Floats]], colour: str) -> bool:
    """Return whether a colour says no more than the brightness, as in grey pictures."""
    pairs = zip(columns[colour], columns["brightness"], strict=True)
    return all(np.allclose(one, other, atol=0.01) for one, other in pairs)


def _finite(values: Floats) -> Floats:
    return values[np.isfinite(values)]


def _warnings(images: int, seen: int, *, familiar: bool, estimates: bool) -> Iterator[str]:
    if images < MIN_IMAGES:
        yield (
            f"{images} {'image is' if images == 1 else 'images are'} too few to tell whether they "
            f"are like the training images: at least {MIN_IMAGES} are needed."
        )
    elif not familiar:
        yield "More than half of the images are unknown. " + (
            "The model's confidence says nothing about its accuracy on them, so that is not "
            "estimated."
            if estimates
            else "The results on the test images say nothing about them."
        )
    if seen:
        number = "All" if seen == images else f"At least {seen:,}"
        yield (
            f"{number} of these {images:,} images were used for training, so everything here is "
            "optimistic. Pass images that the model has not seen."
        )
