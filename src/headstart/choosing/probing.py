"""A probe: a linear head on frozen features, which is what candidates are compared by."""

from headstart.arrays import Features, Folds
from headstart.data.images import ImageSet
from headstart.evaluation.comparison import measure_held_out
from headstart.features.extractor import FeatureExtractor
from headstart.heads.problem import HeadFit, HeldOut, Problem, effort_for
from headstart.heads.specs import LinearHead
from headstart.watching import Warn


def fit_probe(
    extractor: FeatureExtractor, features: Features, images: ImageSet, folds: Folds
) -> tuple[HeadFit, HeldOut]:
    """Fit a linear head on images, and return it with the scores of the held-out ones.

    Args:
        extractor: The extractor of the features.
        features: Shape (images, width).
        images: The images.
        folds: Pairs of rows (train, held out).
    """
    layout = extractor.layout
    problem = Problem(
        features,
        {name: layout.columns(name) for name in ("last", "multilevel")},
        images.labels,
        len(images.classes),
        folds,
        images.task,
        column_weights=layout.weights(),
    )
    fit = LinearHead().fit(problem)
    assert fit.held_out is not None
    return fit, fit.held_out


def held_out_log_loss(
    extractor: FeatureExtractor, images: ImageSet, seed: int, warn: Warn
) -> float:
    """Return the log loss of a probe on held-out folds of the images.

    Args:
        extractor: Extracts the features.
        images: The images.
        seed: Seed of the folds.
        warn: Called with warnings for the user.
    """
    features, _ = extractor.of_files(images.files, warn=warn)
    folds = images.folds(effort_for(len(images), len(images.classes)).folds, seed=seed)
    _, held_out = fit_probe(extractor, features, images, folds)
    return measure_held_out(held_out.logits, images.labels[held_out.rows], images.task).log_loss
