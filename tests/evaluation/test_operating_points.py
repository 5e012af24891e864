"""Operating points are parsed strictly, and thresholds are right for new images too."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from headstart.errors import DataError, OptionError
from headstart.evaluation.operating_points import (
    AtLeast,
    HighestF1,
    LeastCost,
    choose_threshold,
    parse_operating_point,
)

USE = (
    " Use sensitivity=0.95, specificity=0.9, ppv=0.8 (any value above 0 and below 1), "
    "cost=fn:10,fp:1 (costs above 0) or f1."
)


def drawn(images, *, seed=0, prevalence=0.3, separation=2.0):
    """Return calibrated probabilities and truth."""
    draw = np.random.default_rng(seed)
    positive = draw.random(images) < prevalence
    scores = draw.normal(size=images) + separation * positive
    offset = np.log(prevalence / (1 - prevalence)) - separation**2 / 2
    return expit(separation * scores + offset), positive


def rates(probabilities, positive, threshold):
    """Return sensitivity, specificity, PPV and F1."""
    predicted = probabilities >= threshold
    hits = (predicted & positive).sum()
    f1 = 2 * hits / (predicted.sum() + positive.sum())
    return (
        hits / positive.sum(),
        (~predicted & ~positive).sum() / (~positive).sum(),
        (hits / max(predicted.sum(), 1)),
        f1,
    )


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("sensitivity=0.95", AtLeast("sensitivity", 0.95)),
        ("specificity=0.9", AtLeast("specificity", 0.9)),
        ("ppv=0.8", AtLeast("ppv", 0.8)),
        ("cost=fn:10,fp:1", LeastCost(10, 1)),
        ("f1", HighestF1()),
    ],
)
def test_operating_points_are_read_and_written(text, point):
    """The text of an operating point is what was parsed."""
    assert parse_operating_point(text) == point
    assert str(point) == text


def test_spaces_and_the_order_of_costs_do_not_matter():
    """Spaces around each part are ignored."""
    assert parse_operating_point(" sensitivity = .5 ") == AtLeast("sensitivity", 0.5)
    assert parse_operating_point("cost= fp: 0.5, fn:2") == LeastCost(2, 0.5)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sensitivity=1.2", "sensitivity must be above 0 and below 1. Got 1.2."),
        ("ppv=0", "ppv must be above 0 and below 1. Got 0."),
        ("specificity=1", "specificity must be above 0 and below 1. Got 1."),
        ("sensitivity=", "a value is missing."),
        ("sensitivity", "a value is missing."),
        ("sensitivity=high", "'high' is not a number."),
        ("sensitivity=nan", "'nan' is not a number."),
        ("f1=0.5", "f1 takes no value."),
        ("", "there is no operating point ''."),
        ("sensitvity=0.9", "there is no operating point 'sensitvity'. Did you mean 'sensitivity'"),
        ("cost", "cost needs the costs of both mistakes, as in fn:10,fp:1."),
        ("cost=fn:10", "cost needs the costs of both mistakes, as in fn:10,fp:1."),
        ("cost=fn:10,fn:1", "cost needs the costs of both mistakes, as in fn:10,fp:1."),
        ("cost=fn:10,fp:1,tp:0", "cost needs the costs of both mistakes, as in fn:10,fp:1."),
        ("cost=fn:10,fp:", "a value is missing."),
        ("cost=fn:10,fp:0", "costs must be above 0."),
        ("cost=fn:10,fp:inf", "'inf' is not a number."),
    ],
)
def test_wrong_operating_points_are_refused(text, why):
    """The error shows the text, what is wrong with it, and what is allowed."""
    with pytest.raises(OptionError) as error:
        parse_operating_point(text)
    assert str(error.value).startswith(f"operating_point cannot be '{text}': {why}")
    assert str(error.value).endswith(USE)


def test_sensitivity_by_hand():
    """Of 9 positive images, 0.8 of new ones exceed the 8th, by rank: 8 / 10."""
    probabilities = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.25, 0.05])
    chosen = choose_threshold(AtLeast("sensitivity", 0.8), probabilities, np.arange(11) < 9)
    assert (chosen.threshold, chosen.reached) == (pytest.approx(0.2), True)
    chosen = choose_threshold(AtLeast("sensitivity", 0.85), probabilities, np.arange(11) < 9)
    assert chosen.threshold == pytest.approx(0.15)


def test_specificity_by_hand():
    """Of 9 negative images, 8 lie below the threshold: it is just above the 8th."""
    probabilities = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.75, 0.95])
    chosen = choose_threshold(AtLeast("specificity", 0.8), probabilities, np.arange(11) >= 9)
    assert chosen.reached
    assert 0.8 < chosen.threshold == pytest.approx(0.8)


@given(
    st.sampled_from(["sensitivity", "specificity"]),
    st.sampled_from([0.5, 0.7, 0.8, 0.9, 0.95]),
    st.integers(0, 1000),
    st.integers(1, 3),
)
def test_rates_are_reached_on_held_out_images(name, rate, seed, digits):
    """The required rate is reached, and no more images are included than that takes."""
    probabilities, positive = drawn(100, seed=seed)
    probabilities = probabilities.round(digits)
    chosen = choose_threshold(AtLeast(name, rate), probabilities, positive)
    index = 0 if name == "sensitivity" else 1
    assert rates(probabilities, positive, chosen.threshold)[index] >= rate - 1e-9
    images = probabilities[positive] if index == 0 else -probabilities[~positive]
    limit = chosen.threshold if index == 0 else -chosen.threshold
    assert (images > limit + 1e-12).sum() <= rate * (len(images) + 1) + 1e-9


@pytest.mark.parametrize(
    ("name", "kind", "edge"),
    [("sensitivity", "positive", "lowest"), ("specificity", "negative", "highest")],
)
def test_too_few_images_for_a_rate(name, kind, edge):
    """12 images cannot show a rate of 0.95; the nearest threshold is at the last of them."""
    probabilities = np.linspace(0.1, 0.9, 24)
    positive = np.arange(24) >= 12
    chosen = choose_threshold(AtLeast(name, 0.95), probabilities, positive)
    assert not chosen.reached
    assert chosen.shortfall == (
        f"{name}=0.95 needs at least 19 held-out {kind} images. There are 12, so the threshold is "
        f"the {edge} of their probabilities."
    )
    assert rates(probabilities, positive, chosen.threshold)[:2] == (1.0, 1.0)


def test_19_images_are_enough_for_95_percent():
    """The lowest of 19 positive images is exceeded by 19 of 20 new ones on average."""
    probabilities, positive = np.linspace(0.9, 0.1, 20), np.arange(20) < 19
    chosen = choose_threshold(AtLeast("sensitivity", 0.95), probabilities, positive)
    assert chosen.reached
    assert chosen.threshold == pytest.approx(probabilities[18])


@pytest.mark.parametrize(
    ("text", "index", "required", "images"),
    [
        ("sensitivity=0.9", 0, 0.9, 100),
        ("specificity=0.9", 1, 0.9, 100),
        ("ppv=0.8", 2, 0.8, 500),
        ("ppv=0.6", 2, 0.6, 500),
    ],
)
def test_rates_are_reached_on_new_images_on_average(text, index, required, images):
    """The mean over 100 draws of held-out images is within 0.015 of what was required."""
    point, new = parse_operating_point(text), drawn(20_000, seed=9999)
    found = [
        rates(*new, choose_threshold(point, *drawn(images, seed=seed)).threshold)[index]
        for seed in range(100)
    ]
    assert np.mean(found) == pytest.approx(required, abs=0.015)


def test_cost_and_f1_are_near_their_best_on_new_images():
    """With 100 held-out images, little is lost against the best threshold of the new images."""
    probabilities, positive = drawn(20_000, seed=9999)
    cuts = np.linspace(0.01, 0.99, 99)

    def cost(threshold):
        predicted = probabilities >= threshold
        return 10 * (positive & ~predicted).mean() + (predicted & ~positive).mean()

    for text, lost in (
        ("cost=fn:10,fp:1", lambda t: cost(t) / min(map(cost, cuts)) - 1),
        (
            "f1",
            lambda t: (
                max(rates(probabilities, positive, c)[3] for c in cuts)
                - rates(probabilities, positive, t)[3]
            ),
        ),
    ):
        point = parse_operating_point(text)
        found = [
            lost(choose_threshold(point, *drawn(100, seed=seed)).threshold) for seed in range(20)
        ]
        assert 0 <= np.mean(found) < 0.04


def test_cost_does_not_need_calibrated_probabilities():
    """Probabilities of a balanced training, which are too high, move the threshold along."""
    point = LeastCost(10, 1)
    probabilities, positive = drawn(5000)
    moved = expit(np.log(probabilities / (1 - probabilities)) * 0.5 + 3)
    plain = choose_threshold(point, probabilities, positive).threshold
    assert plain == pytest.approx(1 / 11, abs=0.02)
    threshold = choose_threshold(point, moved, positive).threshold
    assert ((moved >= threshold) == (probabilities >= plain)).mean() > 0.999


def test_a_ppv_that_no_threshold_reaches():
    """Probabilities that say nothing give the most probable images, and say so."""
    positive = np.arange(100) % 5 == 0
    chosen = choose_threshold(AtLeast("ppv", 0.9), np.full(100, 0.2), positive)
    assert chosen.threshold == 0.2
    assert chosen.shortfall == (
        "No threshold reaches ppv=0.9: the most probable held-out images are positive with a "
        "probability of 0.2006. The threshold is the lowest with hardly less, 0.2006."
    )


def test_the_nearest_ppv_is_not_that_of_a_single_image():
    """The lowest threshold with hardly less than the highest PPV keeps most positive images."""
    scores = np.concatenate([np.linspace(-6, -5, 500), np.linspace(5, 6, 500)])
    positive = (scores > 0) ^ (np.arange(1000) % 50 == 0)
    chosen = choose_threshold(AtLeast("ppv", 0.9999), expit(scores), positive)
    assert "No threshold reaches" in chosen.shortfall
    assert (expit(scores) >= chosen.threshold).sum() >= 250


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("Recall=0.9", "sensitivity=0.9"),
        ("precision=0.8", "ppv=0.8"),
        ("F1", "f1"),
        ("COST=FN:10,FP:1", "cost=fn:10,fp:1"),
    ],
)
def test_synonyms_and_capitals(text, point):
    """The names of the table that `train` prints are understood, in any case."""
    assert str(parse_operating_point(text)) == point


@pytest.mark.parametrize("text", ["ppv=0.9", "cost=fn:10,fp:1", "f1"])
def test_perfectly_separated_images(text):
    """The threshold lies between the classes, even with probabilities of 0 and 1."""
    positive = np.arange(40) >= 20
    for probabilities in (positive.astype(float), np.where(positive, 0.99, 0.01)):
        chosen = choose_threshold(parse_operating_point(text), probabilities, positive)
        assert chosen.reached
        assert rates(probabilities, positive, chosen.threshold) == (1, 1, 1, 1)


def test_a_model_that_is_worse_than_chance():
    """Its probabilities are no reason for a threshold: all images are predicted, or none."""
    probabilities, positive = drawn(200)
    for costs, share in ((LeastCost(10, 1), 1), (LeastCost(1, 10), 0)):
        chosen = choose_threshold(costs, 1 - probabilities, positive)
        assert 0 <= chosen.threshold <= 1
        assert ((1 - probabilities) >= chosen.threshold).mean() == share


def test_a_negative_image_with_a_probability_of_1():
    """Then only a threshold above 1 reaches the specificity: no image is predicted positive."""
    probabilities, positive = np.ones(30), np.arange(30) < 10
    chosen = choose_threshold(AtLeast("specificity", 0.9), probabilities, positive)
    assert 1 < chosen.threshold < 1 + 1e-9


@pytest.mark.parametrize(
    ("positive", "who"), [(np.zeros(7, bool), "None"), (np.ones(7, bool), "All")]
)
def test_held_out_images_of_one_class(positive, who):
    """No threshold can be chosen, and the error says why."""
    with pytest.raises(DataError) as error:
        choose_threshold(HighestF1(), np.linspace(0, 1, 7), positive)
    assert str(error.value) == (
        "The threshold for f1 needs held-out images with and without the label. "
        f"{who} of 7 images have it."
    )
