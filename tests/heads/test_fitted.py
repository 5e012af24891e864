"""Fitted heads are values: they compute exactly the same scores after saving and loading."""

import dataclasses
from functools import partial

import numpy as np
import pytest
from scipy.special import softmax

from headstart.errors import BundleError
from headstart.heads import fitted
from headstart.heads.fitted import BlendModel, StackModel, mean_scores
from headstart.heads.specs import KernelHead, LinearHead, MLPHead, NearestHead
from tests.heads.problems import blobs, problem

SPECS = [LinearHead(), KernelHead(), MLPHead(hidden=8, epochs=3), NearestHead()]
NARROW = 5


def single(spec):
    """Fit a head of some kind."""
    return spec.fit(problem(*blobs()), seed=0).head


def blend():
    """Create a blend of a linear head of the first columns and a kernel head of all columns."""
    features, labels = blobs()
    narrow = LinearHead().fit(problem(features[:, :NARROW], labels), seed=0).head
    return BlendModel(narrow, single(KernelHead()), 2.0, 0.5)


def stacked():
    """Create a stack of a linear head of the first columns, and a nested stack of all columns."""
    inner = StackModel((single(KernelHead()), single(NearestHead())), (0.25, 0.75), (1.0, 3.0))
    return StackModel((blend().first, inner), (0.4, 0.6), (2.0, 1.0))


KINDS = [(type(spec).__name__, partial(single, spec)) for spec in SPECS]
KINDS += [("Blend", blend), ("Stack", stacked)]


@pytest.fixture(params=[make for _, make in KINDS], ids=[name for name, _ in KINDS])
def fit(request):
    """A fitted head of each kind, and new features."""
    return request.param(), blobs(count=40, seed=5)[0].astype(np.float32)


def test_scores_have_a_column_for_each_class(fit):
    """For any number of images, including 0, scores have the shape (images, classes)."""
    head, features = fit
    for count in (40, 1, 0):
        assert head.logits(features[:count]).shape == (count, 3)


def test_a_head_survives_a_round_trip(fit):
    """A head created from named numbers and arrays has bit-identical scores."""
    head, features = fit
    numbers, arrays = fitted.to_arrays(head)
    assert all(isinstance(value, (float, str)) for value in numbers.values())
    again = fitted.from_arrays(head.kind, numbers, arrays)
    assert type(again) is type(head)
    np.testing.assert_array_equal(again.logits(features), head.logits(features))


def test_scores_do_not_depend_on_other_images(fit):
    """An image has the same scores by itself and in a batch, at any position."""
    head, features = fit
    whole = head.logits(features)
    single_rows = np.concatenate([head.logits(features[row : row + 1]) for row in range(40)])
    np.testing.assert_allclose(single_rows, whole, atol=1e-4)
    batch = head.logits(np.tile(features, (60, 1)))
    np.testing.assert_allclose(batch, np.tile(whole, (60, 1)), atol=1e-4)


def test_a_blend_is_the_mean_of_calibrated_scores():
    """Each head uses its own columns, and its scores are divided by its temperature."""
    head, features = blend(), blobs(count=40, seed=5)[0].astype(np.float32)
    first, second = head.first.logits(features[:, :NARROW]), head.second.logits(features)
    np.testing.assert_allclose(head.logits(features), (first / 2.0 + second / 0.5) / 2, rtol=1e-5)


def test_a_stack_is_the_mean_of_calibrated_probabilities():
    """Members have their own columns, temperatures and shares, also within a stack."""
    head, features = stacked(), blobs(count=40, seed=5)[0].astype(np.float32)
    inner = head.members[1]
    kernel, nearest = (member.logits(features) for member in inner.members)
    expected = 0.4 * softmax(head.members[0].logits(features[:, :NARROW]) / 2.0, axis=1)
    expected += 0.6 * (0.25 * softmax(kernel, axis=1) + 0.75 * softmax(nearest / 3.0, axis=1))
    np.testing.assert_allclose(softmax(head.logits(features), axis=1), expected, atol=1e-6)


def test_the_scores_of_a_stack_are_finite():
    """A class that every member rules out has a very low score, not minus infinity."""
    certain = [np.array([[500.0, -500.0]]), np.array([[900.0, 0.0]])]
    scores = mean_scores(certain, (0.5, 0.5), (1.0, 1.0))
    assert np.isfinite(scores).all() and scores[0, 0] == 0 and scores[0, 1] < -60


def test_an_incomplete_stack_is_an_error():
    """Each member needs its share and its temperature."""
    numbers, arrays = fitted.to_arrays(stacked())
    del numbers["share1"]
    with pytest.raises(BundleError, match=r"a part of the stack is missing"):
        fitted.from_arrays("stack", numbers, arrays)


def test_a_head_cannot_be_changed(fit):
    """Fitted heads are frozen."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        fit[0].kind = "other"


def test_an_unknown_kind_is_an_error():
    """The error names the unknown kind."""
    with pytest.raises(BundleError) as caught:
        fitted.from_arrays("forest", {}, {})
    assert str(caught.value) == "The model has a head of unknown kind 'forest'. Upgrade headstart."


def test_a_missing_array_is_an_error():
    """A head without its bias is incomplete."""
    arrays = {name: np.zeros(2, dtype=np.float32) for name in ("mean", "scale", "weight")}
    with pytest.raises(BundleError, match=r"The model's head is incomplete: .*'bias'"):
        fitted.from_arrays("linear", {}, arrays)


def test_a_missing_array_of_a_blend_is_an_error():
    """A blend is incomplete if one of its heads is missing or incomplete."""
    numbers, arrays = fitted.to_arrays(blend())
    without = {name: value for name, value in arrays.items() if name != "second.landmarks"}
    with pytest.raises(BundleError, match=r"The model's head is incomplete: .*'landmarks'"):
        fitted.from_arrays("blend", numbers, without)
    without = {name: value for name, value in numbers.items() if name != "first.kind"}
    with pytest.raises(BundleError, match=r"head of unknown kind 'None'"):
        fitted.from_arrays("blend", without, arrays)


def test_unit_rows():
    """Rows are scaled to length 1; a zero row stays zero."""
    rows = fitted.unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32))
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)
