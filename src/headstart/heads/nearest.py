"""The nearest-mean head: one mean direction per class, without iterative training."""

import numpy as np
import torch
from torch import Tensor

from headstart.arrays import Features
from headstart.heads.fitted import NearestModel, unit_rows
from headstart.heads.problem import HeadFit, HeldOut, Problem
from headstart.heads.spaces import standardise


def fit_nearest(problem: Problem, features: str) -> HeadFit:
    """Average the feature directions of each class, over `problem.fitted_rows`.

    Standardising and normalising features first follows Wang et al., "SimpleShot" (2019).

    Args:
        problem: Features and targets.
        features: Name of the columns to use.
    """
    columns = problem.features[:, problem.columns[features]]
    part = problem.columns[features]
    weights = (
        None if problem.column_weights is None else torch.from_numpy(problem.column_weights[part])
    )
    truth = problem.truth()
    rows, logits = [], []
    for train, held_out in problem.folds:
        model = _fit(columns[train], weights, truth[train])
        rows.append(held_out)
        logits.append(model.logits(columns[held_out]))
    scores = HeldOut(np.concatenate(rows), np.concatenate(logits))
    fitted = problem.fitted_rows
    return HeadFit(_fit(columns[fitted], weights, truth[fitted]), scores, features)


def _fit(columns: Features, weights: Tensor | None, truth: Tensor) -> NearestModel:
    standard = standardise(torch.from_numpy(columns), weights)
    mean, scale = standard.mean.numpy(), standard.scale.numpy()
    directions = unit_rows((columns - mean) / scale)
    return NearestModel(mean, scale, unit_rows(truth.numpy().T @ directions))
