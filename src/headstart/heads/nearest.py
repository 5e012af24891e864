"""The nearest-mean head: one direction for each class, and nothing to train."""

import numpy as np
import torch
from torch import Tensor

from headstart.arrays import Features
from headstart.heads.fitted import NearestModel, unit
from headstart.heads.problem import HeadFit, HeldOut, Problem
from headstart.heads.spaces import standardise


def fit_nearest(problem: Problem, features: str) -> HeadFit:
    """Average the directions of each class's images.

    Standardising and bringing to length 1 first follows Wang et al., "SimpleShot" (2019).

    Args:
        problem: What is to be learnt.
        features: Name of the columns to read.
    """
    columns = problem.features[:, problem.columns[features]]
    part = problem.columns[features]
    weights = None if problem.weights is None else torch.from_numpy(problem.weights[part])
    truth = problem.truth()
    rows, logits = [], []
    for kept, held in problem.folds:
        model = _fit(columns[kept], weights, truth[kept])
        rows.append(held)
        logits.append(model.logits(columns[held]))
    held_out = HeldOut(np.concatenate(rows), np.concatenate(logits))
    return HeadFit(_fit(columns, weights, truth), held_out, features)


def _fit(columns: Features, weights: Tensor | None, truth: Tensor) -> NearestModel:
    standard = standardise(torch.from_numpy(columns), weights)
    mean, scale = standard.mean.numpy(), standard.scale.numpy()
    directions = unit((columns - mean) / scale)
    return NearestModel(mean, scale, unit(truth.numpy().T @ directions))
