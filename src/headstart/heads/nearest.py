"""The nearest-mean head: one direction for each class, and nothing to train."""

import numpy as np
import torch
from torch import Tensor

from headstart.data.splits import Rows
from headstart.heads.fitted import Array, NearestModel, unit
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
    rows, logits = [], []
    for kept, held in problem.folds:
        model = _fit(columns[kept], weights, problem.labels[kept], problem.classes)
        rows.append(held)
        logits.append(model.logits(columns[held]))
    held_out = HeldOut(np.concatenate(rows), np.concatenate(logits))
    return HeadFit(_fit(columns, weights, problem.labels, problem.classes), held_out, features)


def _fit(columns: Array, weights: Tensor | None, labels: Rows, classes: int) -> NearestModel:
    standard = standardise(torch.from_numpy(columns), weights)
    mean, scale = standard.mean.numpy(), standard.scale.numpy()
    directions = unit((columns - mean) / scale)
    centres = np.zeros((classes, columns.shape[1]), dtype=np.float32)
    np.add.at(centres, labels, directions)
    return NearestModel(mean, scale, unit(centres))
