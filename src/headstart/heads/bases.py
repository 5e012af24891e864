"""Bases: features transformed for logistic regression, and its weights transformed back."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from headstart.arrays import Rows
from headstart.heads.fitted import FittedHead, KernelModel, LinearModel
from headstart.heads.logistic import fit_logistic
from headstart.heads.problem import Kind, Problem, Strength
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
    """A linear or kernel space over a selection of features.

    Attributes:
        features: Name of the selected columns.
        kind: "linear" or "kernel".
        width: Kernel width, as a multiple of the median squared distance.
        standardised: The standardised features.
        products: Their inner products.
        space: Inputs for logistic regression.
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
        """Return a basis made from a sample, extended to all images of a problem.

        The linear inputs are the features themselves. A kernel keeps the sample as landmarks
        (Nyström: Williams and Seeger, 2001).
        """
        part = problem.columns[self.features]
        if self.kind == "linear":
            standardised = problem.standardised(part)
            inputs, projection = standardised.rows, torch.empty(0)
        else:
            standardised, projection = self.standardised, self.space.projection
            assert self.space.bandwidth is not None
            features = torch.from_numpy(problem.features[:, part])
            rows = (features - standardised.mean) / standardised.scale
            inputs = radial_basis(rows, standardised.rows, self.space.bandwidth) @ projection
        spectrum = inputs.square().mean(dim=0)
        space = Space(inputs, spectrum, projection, self.space.bandwidth)
        return replace(self, standardised=standardised, space=space)

    def fit(self, problem: Problem, strength: Strength, landmarks: Rows | None) -> FittedHead:
        """Fit logistic regression on all images of a problem.

        Args:
            problem: The images that the basis covers.
            strength: Regularisation strength, one for all classes or one per label.
            landmarks: Indices of a kernel's landmark images; None for all images.
        """
        models = fit_logistic(
            self.space.inputs,
            problem.truth(),
            problem.sample_weights().unsqueeze(1),
            torch.tensor([strength]),
            task=problem.task,
            spectrum=self.space.spectrum,
            steps=_STEPS,
        )
        weight, bias = models.weight[0], models.bias[0, 0].numpy()
        if self.space.projection.numel():
            weight = self.space.projection @ weight
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
