"""The nearest-mean head: one mean direction per class, without iterative training."""

import numpy as np
import torch

from headstart.arrays import Rows
from headstart.heads.fitted import NearestModel, unit_rows
from headstart.heads.problem import HeadFit, HeldOut, Problem
from headstart.heads.spaces import standardise


def fit_nearest(problem: Problem, features: str) -> HeadFit:
    """Average the feature directions of each class, over `problem.fitted_rows`.

    Normalising centred features follows Wang et al., "SimpleShot" (2019). They are standardised as
    well, hardly with few images and fully with many, see `standardise`.

    Args:
        problem: Features and targets.
        features: Name of the columns to use.
    """
    columns = problem.features[:, problem.columns[features]]
    logits = [
        nearest_model(problem, features, train).logits(columns[held_out])
        for train, held_out in problem.folds
    ]
    scores = HeldOut(problem.held_out_rows(), np.concatenate(logits))
    return HeadFit(nearest_model(problem, features, problem.fitted_rows), scores, features)


def nearest_model(problem: Problem, features: str, rows: Rows) -> NearestModel:
    """Average the feature directions of each class, over the given rows."""
    part = problem.columns[features]
    columns = problem.features[rows, part]
    weights = (
        None if problem.column_weights is None else torch.from_numpy(problem.column_weights[part])
    )
    standard = standardise(torch.from_numpy(columns), weights)
    mean, scale = standard.mean.numpy(), standard.scale.numpy()
    directions = unit_rows((columns - mean) / scale)
    return NearestModel(mean, scale, unit_rows(problem.truth()[rows].numpy().T @ directions))
