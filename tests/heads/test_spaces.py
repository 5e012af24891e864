"""Spaces represent features, or their kernel, exactly by few uncorrelated columns."""

import numpy as np
import pytest
import torch

from headstart.heads.spaces import kernel_space, linear_space, radial_basis, standardise


def rows(count, width, seed=0):
    """Return correlated features."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(count, width)) @ rng.normal(size=(width, width)) + 5
    return torch.from_numpy(mixed.astype(np.float32))


def variances(features, weights=None):
    """Return the variance of each standardised column."""
    return standardise(features, weights).rows.var(dim=0, correction=0)


def test_standardising_gives_mean_0_and_a_total_variance_of_1():
    """Of few images as of many."""
    for count in (2, 50, 10_000):
        standard = standardise(rows(count, 8))
        torch.testing.assert_close(standard.rows.mean(dim=0), torch.zeros(8), atol=1e-5, rtol=0)
        assert float(variances(rows(count, 8)).sum()) == pytest.approx(1, abs=1e-4)


def test_many_images_give_columns_equal_variances():
    """Their deviations are known."""
    torch.testing.assert_close(
        variances(rows(100_000, 8)), torch.full((8,), 1 / 8), atol=2e-3, rtol=0
    )


def test_few_images_draw_deviations_to_that_of_a_typical_column():
    """The median deviation counts as much as that of 100 images."""
    features = rows(50, 7)
    deviation = features.std(dim=0, correction=0)
    expected = (deviation / (deviation + 100 / 50 * deviation.median())).square()
    torch.testing.assert_close(variances(features), expected / expected.sum(), atol=1e-5, rtol=0)


def test_two_images_keep_the_lengths_of_columns():
    """Nothing is known about their deviations, so they are hardly more than centred."""
    features = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 4.0]])
    torch.testing.assert_close(
        standardise(features).rows[1], torch.tensor([0.22, 0.44, 0.87]), atol=0.02, rtol=0
    )


def test_column_weights_distribute_the_variance():
    """A column of twice the weight has four times the variance; the total stays 1."""
    weights = torch.tensor([2.0, 1.0, 1.0, 1.0])
    torch.testing.assert_close(
        variances(rows(100_000, 4), weights), weights**2 / 7, atol=2e-3, rtol=0
    )


def test_constant_columns_do_not_count_as_typical():
    """A column is scaled as without them, even if most are constant."""
    features = rows(20, 3)
    padded = torch.cat([features, torch.ones(20, 9)], dim=1)
    torch.testing.assert_close(standardise(padded).rows[:, :3], standardise(features).rows)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -123.456, 65504.0, 1e-20])
@pytest.mark.parametrize("count", [2, 7, 1000])
def test_a_constant_column_is_0(value, count):
    """Rounding errors of its mean are never amplified into a feature."""
    features = rows(count, 3)
    features[:, 1] = value
    standard = standardise(features)
    assert (standard.rows[:, 1] == 0).all()
    assert torch.isfinite(standard.rows).all()


@pytest.mark.parametrize(("count", "width"), [(30, 6), (6, 30), (12, 12)])
def test_a_linear_space_keeps_inner_products(count, width):
    """Inner products of the images are those of the standardised features."""
    standard = standardise(rows(count, width))
    products = standard.inner_products()
    space = linear_space(standard, products)
    assert space.inputs.shape[1] <= min(count, width)
    torch.testing.assert_close(space.inputs @ space.inputs.T, products, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("count", "width"), [(30, 6), (6, 30)])
def test_projected_weights_predict_the_same(count, width):
    """Weights of the space, projected to weights of features, give the same scores."""
    standard = standardise(rows(count, width))
    space = linear_space(standard, standard.inner_products())
    weight = torch.randn(space.inputs.shape[1], 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        standard.rows @ (space.projection @ weight), space.inputs @ weight, atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize("make", ["linear", "kernel"])
def test_columns_are_uncorrelated_and_match_the_spectrum(make):
    """The mean square of each column is its entry in the spectrum."""
    standard = standardise(rows(40, 8))
    products = standard.inner_products()
    space = linear_space(standard, products) if make == "linear" else kernel_space(products, 1.0)
    gram = space.inputs.T @ space.inputs / 40
    torch.testing.assert_close(gram, torch.diag(space.spectrum), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("width", [0.5, 1.0, 2.0])
def test_a_kernel_space_reproduces_the_kernel(width):
    """Inner products of its columns equal the radial-basis kernel of the images."""
    standard = standardise(rows(40, 8))
    space = kernel_space(standard.inner_products(), width)
    expected = radial_basis(standard.rows, standard.rows, space.bandwidth)
    torch.testing.assert_close(space.inputs @ space.inputs.T, expected, atol=1e-3, rtol=0)


def test_projected_kernel_weights_predict_the_same():
    """Weights of the space, projected to weights of images, give the same scores."""
    standard = standardise(rows(40, 8))
    space = kernel_space(standard.inner_products(), 1.0)
    weight = torch.randn(space.inputs.shape[1], 3, generator=torch.Generator().manual_seed(0))
    kernel = radial_basis(standard.rows, standard.rows, space.bandwidth)
    torch.testing.assert_close(
        kernel @ (space.projection @ weight), space.inputs @ weight, atol=2e-2, rtol=1e-2
    )


def test_the_bandwidth_is_a_multiple_of_the_median_squared_distance():
    """Width 1 gives the median; twice the width gives twice the bandwidth."""
    standard = standardise(rows(40, 8))
    products = standard.inner_products()
    distances = torch.cdist(standard.rows, standard.rows).square()
    median = float(distances[distances > 1e-6].median())
    assert kernel_space(products, 1.0).bandwidth == pytest.approx(median, rel=1e-3)
    assert kernel_space(products, 2.0).bandwidth == pytest.approx(2 * median, rel=1e-3)


def test_identical_images_have_a_kernel():
    """If all images are identical, the space has one finite column."""
    space = kernel_space(torch.zeros(5, 5), 1.0)
    assert space.inputs.shape == (5, 1)
    assert torch.isfinite(space.inputs).all()


def test_a_matrix_that_does_not_converge_is_solved_in_double_precision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """LAPACK's solver fails on few matrices, and only in single precision."""
    rows = torch.randn(30, 5, generator=torch.Generator().manual_seed(0))
    standardised = standardise(rows)
    expected = linear_space(standardised, standardised.inner_products())
    solve = torch.linalg.eigh

    def fail(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if matrix.dtype == torch.float32:
            raise RuntimeError("linalg.eigh: The algorithm failed to converge")
        return solve(matrix)

    monkeypatch.setattr(torch.linalg, "eigh", fail)
    space = linear_space(standardised, standardised.inner_products())
    assert torch.allclose(space.spectrum, expected.spectrum, atol=1e-5)
    assert torch.allclose(space.inputs.abs(), expected.inputs.abs(), atol=1e-3)
