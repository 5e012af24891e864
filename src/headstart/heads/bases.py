"""Spaces that logistic regression is fitted in, with the way back to weights of features."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from headstart.arrays import Rows
from headstart.heads.fitted import FittedHead, KernelModel, LinearModel
from headstart.heads.logistic import fit_logistic
from headstart.heads.problem import Kind, Problem
from headstart.heads.spaces import (
    Space,
    Standardised,
    kernel_space,
    linear_space,
    radial_basis,
)

_STEPS = 200


@dataclass(frozen=True)
class Basis:
    """A space of some kind over some of the features.

    Attributes:
        features: Name of the columns.
        kind: "linear" or "kernel".
        width: Of a kernel, as a multiple of the median squared distance.
        standardised: The features behind the space.
        products: Their inner products.
        space: Of the images.
    """

    features: str
    kind: Kind
    width: float
    standardised: Standardised
    products: Tensor
    space: Space

    @classmethod
    def of(
        cls,
        features: str,
        kind: Kind,
        standardised: Standardised,
        products: Tensor,
        width: float = 1.0,
    ) -> Self:
        """Rotate features, or their kernel, to uncorrelated columns."""
        if kind == "linear":
            space = linear_space(standardised, products)
        else:
            space = kernel_space(products, width)
        return cls(features, kind, width, standardised, products, space)

    def extended(self, problem: Problem) -> Self:
        """Return the same over all images of a problem, for a basis that was made from a sample.

        Linear inputs are the features themselves. A kernel keeps the sample as landmarks
        (Nyström: Williams and Seeger, 2001).
        """
        part = problem.columns[self.features]
        if self.kind == "linear":
            standardised = problem.standardised(part)
            inputs, back = standardised.rows, torch.empty(0)
        else:
            standardised, back = self.standardised, self.space.back
            assert self.space.bandwidth is not None
            features = torch.from_numpy(problem.features[:, part])
            rows = (features - standardised.mean) / standardised.scale
            inputs = radial_basis(rows, standardised.rows, self.space.bandwidth) @ back
        space = Space(inputs, inputs.square().mean(dim=0), back, self.space.bandwidth)
        return replace(self, standardised=standardised, space=space)

    def fitted(self, problem: Problem, strength: float, landmarks: Rows | None) -> FittedHead:
        """Fit logistic regression on all images.

        Args:
            problem: Whose images the basis is of.
            strength: Of the regularisation.
            landmarks: Images that a kernel is measured from; None for all of them.
        """
        models = fit_logistic(
            self.space.inputs,
            problem.truth(),
            problem.shares().unsqueeze(1),
            torch.tensor([strength]),
            task=problem.task,
            spectrum=self.space.spectrum,
            steps=_STEPS,
        )
        weight, bias = models.weight[0], models.bias[0, 0].numpy()
        if self.space.back.numel():
            weight = self.space.back @ weight
        mean, scale = self.standardised.mean.numpy(), self.standardised.scale.numpy()
        if self.kind == "linear":
            return LinearModel(mean, scale, weight.numpy(), bias)
        assert self.space.bandwidth is not None
        rows = problem.features[:, problem.columns[self.features]]
        rows = rows if landmarks is None else rows[landmarks]
        with np.errstate(over="ignore"):
            half = rows.astype(np.float16)
        kept = half if np.array_equal(half, rows) else rows
        return KernelModel(mean, scale, kept, weight.numpy(), bias, self.space.bandwidth)
