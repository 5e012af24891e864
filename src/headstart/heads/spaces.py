"""Linear and kernel spaces: features transformed to few, uncorrelated columns.

Neither is an approximation. Regularised solutions lie in the span of the training images (the
representer theorem), so n images need at most n columns, whatever the width of the features. A
kernel matrix consists of the inner products of such columns. Each row still stands for one image,
so folds of images are folds of rows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# Directions with less than this share of the largest variance are rounding noise in float32.
_NOISE = 1e-6

# The typical deviation counts as much as a column's own deviation in this number of images.
_TYPICAL_IMAGES = 100


@dataclass(frozen=True)
class Standardised:
    """Features with mean 0 and a total variance of 1, and how to standardise other features.

    Attributes:
        mean: Shape (width,).
        scale: Divisor of each column, shape (width,).
        rows: Shape (images, width).
    """

    mean: Tensor
    scale: Tensor
    rows: Tensor

    def inner_products(self) -> Tensor:
        """Return the images' inner products, shape (images, images)."""
        return self.rows @ self.rows.T


@dataclass(frozen=True)
class Space:
    """Inputs for logistic regression.

    Attributes:
        inputs: Shape (images, columns), columns uncorrelated.
        spectrum: Mean square of each column.
        projection: Maps weights of these columns to weights of features (width, columns) or, for
            a kernel, of images (images, columns).
        bandwidth: For a kernel, the divisor of squared distances; else None.
    """

    inputs: Tensor
    spectrum: Tensor
    projection: Tensor
    bandwidth: float | None = None


def standardise(features: Tensor, weights: Tensor | None = None) -> Standardised:
    """Centre and scale each column; a constant column becomes 0.

    With few images, the deviations of single columns are mostly chance. They are drawn to the
    deviation of a typical column, so that ten images are hardly more than centred; see
    docs/decisions/few-images.md. The idea is that of Tusher et al., "Significance analysis of
    microarrays" (2001).

    Args:
        features: Shape (images, width).
        weights: Weight of each column, shape (width,); equal by default.
    """
    weights = torch.ones(features.shape[1]) if weights is None else weights
    mean = features.mean(dim=0)
    deviation = features.std(dim=0, correction=0)
    varies = deviation > 1e-7 * mean.abs() + 1e-12
    scale = torch.where(varies, deviation, torch.inf) / (weights / weights.norm())
    if varies.any():
        scale = scale + _TYPICAL_IMAGES / len(features) * scale[varies].median()
        scale = scale * (deviation / scale).norm()
    return Standardised(mean, scale, (features - mean) / scale)


def linear_space(standardised: Standardised, products: Tensor) -> Space:
    """Rotate standardised features to their principal axes.

    The axes are eigenvectors of the columns' or of the rows' inner products, whichever matrix is
    smaller.

    Args:
        standardised: Standardised features of n images.
        products: Inner products of the images, shape (n, n).
    """
    rows = standardised.rows
    if rows.shape[1] <= rows.shape[0]:
        values, axes = _eigen(rows.T @ rows)
        inputs = rows @ axes
        return Space(inputs, values / len(rows), axes)
    values, vectors = _eigen(products)
    projection = rows.T @ (vectors / values.sqrt())
    return Space(vectors * values.sqrt(), values / len(rows), projection)


def kernel_space(products: Tensor, width: float) -> Space:
    """Return columns whose inner products are the radial-basis kernel of the images.

    Args:
        products: Inner products of standardised features, shape (images, images).
        width: Kernel width, as a multiple of the median squared distance.
    """
    distances = _squared_distances(products)
    bandwidth = width * _median_positive(distances)
    values, vectors = _eigen(torch.exp(-distances / bandwidth))
    projection = vectors / values.sqrt()
    return Space(vectors * values.sqrt(), values / len(products), projection, bandwidth)


def radial_basis(rows: Tensor, landmarks: Tensor, bandwidth: float) -> Tensor:
    """Return exp(-|row - landmark|^2 / bandwidth), shape (rows, landmarks)."""
    # For one row, four times as fast as torch.cdist, which copies the landmarks.
    norms = rows.square().sum(dim=1, keepdim=True) + landmarks.square().sum(dim=1)
    distances = (norms - 2 * rows @ landmarks.T).clamp_min(0)
    return torch.exp(-distances / bandwidth)


def _squared_distances(products: Tensor) -> Tensor:
    norms = products.diagonal()
    return (norms[:, None] + norms[None, :] - 2 * products).clamp_min(0)


def _median_positive(distances: Tensor) -> float:
    """Return the median distance between distinct images, from a sample of the rows."""
    sample = distances[:: max(1, len(distances) // 256)]
    positive = sample[sample > 0]
    return float(positive.median()) if len(positive) else 1.0


def _eigen(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues of a symmetric matrix that are not noise, and their vectors."""
    try:
        values, vectors = torch.linalg.eigh(matrix)
    except RuntimeError:  # Very rarely, LAPACK does not converge in single precision.
        values, vectors = (part.float() for part in torch.linalg.eigh(matrix.double()))
    kept = values > _NOISE * values[-1]
    return values[kept], vectors[:, kept]
