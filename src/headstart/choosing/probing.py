"""A probe: a linear head on frozen features, which is what candidates are compared by."""

from headstart.arrays import Features, Folds
from headstart.data.images import ImageSet
from headstart.features.extractor import FeatureExtractor
from headstart.heads.problem import HeadFit, HeldOut, Problem
from headstart.heads.specs import LinearHead


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
