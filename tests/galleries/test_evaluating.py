"""Galleries are evaluated: against brute force, by hand, and against another library."""

from dataclasses import replace

import numpy as np
import pytest

from headstart.errors import DataError, GalleryError
from headstart.galleries.certainty import Certainty
from headstart.galleries.evaluating import evaluate_retrieval
from headstart.galleries.queries import Queries, other_queries, own_queries
from headstart.galleries.table import Enrolled
from headstart.record.gallery_evaluation import GalleryEvaluation, GalleryMeasures
from tests.galleries.test_retrieval import on_circle

DEGREES = (0, 7, 15, 31, 48, 52, 70, 96, 120, 133, 170, 176)
LABELS = "abaabcbccabc"


def enrolled(points: np.ndarray, labels, groups=None, name: str = "g") -> Enrolled:
    names = [f"{name}-{number}" for number in range(len(points))]
    return Enrolled(names, names, list(labels), groups or names, [{}] * len(points), points)


def certainty(limit: float | None = None) -> Certainty:
    return Certainty(None, None, limit, 0.05, 0)


def clouds(
    labels: int, each: int, *, seed: int, noise: float = 0.8, first: int = 0
) -> tuple[np.ndarray, list[str]]:
    """Return points around a centre for each label; the centres do not depend on the seed."""
    centres = np.random.default_rng(0).normal(size=(60, 6))[first : first + labels]
    points = np.repeat(centres, each, axis=0)
    points = points + np.random.default_rng(seed).normal(0, noise, points.shape)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    names = [f"label {first + number // each}" for number in range(labels * each)]
    return points.astype(np.float32), names


def record(measures: GalleryMeasures, data: str | None = None) -> GalleryEvaluation:
    return GalleryEvaluation("0.1.0", "2026-11-30T10:00:00+00:00", "g", data, 9, 3, measures)


def test_the_measures_are_those_of_pytorch_metric_learning() -> None:
    """AccuracyCalculator of version 2.9.0 on the same points, among themselves and with others."""
    gallery = enrolled(on_circle(*DEGREES), LABELS)
    own = evaluate_retrieval(own_queries(gallery, "g"), gallery, certainty())
    assert own.recall_at_1.value == pytest.approx(1 / 6)
    assert own.map_at_r.value == pytest.approx(1 / 6)
    others = enrolled(on_circle(3, 40, 60, 100, 150), "abcac", name="q")
    found = evaluate_retrieval(other_queries(others, gallery, "g", "d"), gallery, certainty())
    assert found.recall_at_1.value == pytest.approx(0.6)
    assert found.map_at_r.value == pytest.approx(0.275)


def test_by_hand() -> None:
    """What is found for each image, the limit, and who is worst."""
    gallery = enrolled(on_circle(0, 10, 90, 100), "aabb")
    queries = enrolled(on_circle(5, 40, 80, 200, 44), "aabcb", name="q")
    limit = 1 - np.cos(np.radians(32))
    found = evaluate_retrieval(other_queries(queries, gallery, "g", "d"), gallery, certainty(limit))
    assert (found.queries.known, found.queries.strangers, found.queries.single) == (4, 1, 0)
    assert found.recall_at_1.value == 0.75
    own = found.own_limit
    assert (own.right.value, own.wrong.value, own.unknown.value) == (0.75, 0, 0.25)
    assert own.strangers_unknown.value == 1
    assert [(one.label, one.recall_at_1, one.images) for one in found.per_label] == [
        ("b", 0.5, 2),
        ("a", 1, 2),
    ]
    (confused,) = found.confusions
    assert (confused.label, confused.found, confused.count, confused.images) == ("b", "a", 1, 2)
    (miss,) = found.misses
    assert (miss.image, miss.found.image) == ("q-4", "g-1")
    assert miss.right is not None and miss.right.image == "g-2"
    assert miss.found.distance == pytest.approx(1 - np.cos(np.radians(34)), abs=1e-6)
    assert found.accepted == ()


@pytest.mark.parametrize("seed", range(3))
def test_brute_force(seed: int) -> None:
    """One image after the other, with groups, strangers and a limit."""
    points, names = clouds(5, 4, seed=seed)
    gallery = enrolled(points, names)
    looked_up, labels = clouds(8, 4, seed=100 + seed)
    groups = [f"group {number // 2}" for number in range(len(labels))]
    queries = enrolled(looked_up, labels, groups, "q")
    limit = 0.15
    found = evaluate_retrieval(other_queries(queries, gallery, "g", "d"), gallery, certainty(limit))
    hits = {1: 0, 5: 0, 10: 0}
    precisions, answers, unknown_strangers = [], {"right": 0, "wrong": 0, "unknown": 0}, 0
    for point, label in zip(looked_up, labels, strict=True):
        distances = [1 - float(point @ other) for other in points]
        order = sorted(range(len(points)), key=distances.__getitem__)
        right = [names[row] == label for row in order]
        nearest = distances[order[0]]
        if not any(right):
            unknown_strangers += nearest > limit
            continue
        for count in hits:
            hits[count] += any(right[:count])
        among = sum(right)
        precisions.append(
            sum(sum(right[: rank + 1]) / (rank + 1) for rank in range(among) if right[rank]) / among
        )
        answers["unknown" if nearest > limit else "right" if right[0] else "wrong"] += 1
    known = len(precisions)
    assert known == 20 and found.queries.groups == 16
    assert found.recall_at_1.value == pytest.approx(hits[1] / known)
    assert found.recall_at_5.value == pytest.approx(hits[5] / known)
    assert found.recall_at_10.value == pytest.approx(hits[10] / known)
    assert found.map_at_r.value == pytest.approx(np.mean(precisions))
    own = found.own_limit
    assert own.right.value == pytest.approx(answers["right"] / known)
    assert own.wrong.value == pytest.approx(answers["wrong"] / known)
    assert own.unknown.value == pytest.approx(answers["unknown"] / known)
    assert own.strangers_unknown.value == pytest.approx(unknown_strangers / 12)
    assert found.recall_at_1.method == "cluster bootstrap"
    assert sum(found.histogram.same) == 20 and sum(found.histogram.strangers) == 12


def test_an_image_is_not_found_by_its_own_group() -> None:
    """Nor counted if no other group has its label."""
    gallery = enrolled(on_circle(0, 1, 30, 40, 90), "aabab", ["1", "1", "2", "3", "4"])
    found = evaluate_retrieval(own_queries(gallery, "g"), gallery, certainty())
    assert (found.queries.known, found.queries.single) == (5, 0)
    assert found.recall_at_1.value == 0
    alone = enrolled(on_circle(0, 1, 30, 40, 90), "aabbb", ["1", "1", "2", "3", "4"])
    found = evaluate_retrieval(own_queries(alone, "g"), alone, certainty())
    assert (found.queries.known, found.queries.single) == (3, 2)
    assert "Not counted in recall, as no other image or group has their label: 2 of 5" in " ".join(
        record(found).notes
    )


def test_images_that_are_enrolled_are_left_out() -> None:
    """And those of whose group one is, which is said."""
    gallery = enrolled(on_circle(0, 10, 90, 100), "aabb", ["s1", "s2", "s1", "s3"])
    queries = enrolled(on_circle(0, 5, 95, 97), "aabb", ["s1", "s9", "s3", "s8"], "q")
    queries = replace(queries, sha256s=["g-0", "q-1", "q-2", "q-3"])
    left = other_queries(queries, gallery, "g", "d")
    assert left.images.images == ["q-1", "q-3"]
    assert (left.enrolled_before, left.shared_group) == (1, 1)
    notes = record(evaluate_retrieval(left, gallery, certainty()), "d").notes
    assert notes[0] == "Left out, as they are enrolled: 1 of the images of 'd'."
    assert notes[1].startswith("Left out, as an enrolled image is of the same group: 1 of the")


def test_false_accepts_need_enough_strangers() -> None:
    """No number is given that they cannot support; how far they can tell is said."""
    points, names = clouds(6, 10, seed=1)
    gallery = enrolled(points, names)
    found = evaluate_retrieval(own_queries(gallery, "g"), gallery, certainty())
    few, some = found.open_set.identified
    assert (few.false_accepts, few.rate.value, few.limit) == (0.01, None, None)
    assert some.rate.value is not None and some.limit is not None
    assert found.open_set.left_out and found.open_set.strangers == 60
    assert (
        "60 strangers cannot tell a share of false accepts below 2%, so there is no "
        "identification rate at 1%; that needs at least 100."
    ) in record(found).notes
    strangers, labels = clouds(20, 6, seed=2, first=20)
    known = clouds(6, 2, seed=3)
    many = enrolled(np.concatenate([known[0], strangers]), [*known[1], *labels], name="q")
    found = evaluate_retrieval(other_queries(many, gallery, "g", "d"), gallery, certainty())
    assert found.open_set.identified[0].rate.value is not None
    assert (found.open_set.strangers, found.open_set.labels) == (120, 20)
    # As many images, but of fewer groups, are fewer strangers.
    together = replace(many, groups=[name.split()[-1] for name in many.labels])
    found = evaluate_retrieval(other_queries(together, gallery, "g", "d"), gallery, certainty())
    assert found.open_set.identified[0].rate.value is None
    assert "20 groups of strangers cannot tell" in " ".join(record(found, "d").notes)


def test_a_limit_that_does_not_hold_is_said() -> None:
    """If more strangers are accepted than it was set for, beyond chance."""
    points, names = clouds(6, 4, seed=1)
    gallery = enrolled(points, names)
    queries, labels = clouds(10, 6, seed=4)
    others = other_queries(enrolled(queries, labels, name="q"), gallery, "g", "d")
    loose = evaluate_retrieval(others, gallery, certainty(1.5))
    assert loose.own_limit.strangers_unknown.value == 0
    assert [one.right for one in loose.accepted] == [None] * 24
    distances = [one.found.distance for one in loose.accepted]
    assert distances == sorted(distances)
    notes = " ".join(record(loose, "d").notes)
    assert "was set to accept 5% of strangers, but accepts 100% of these" in notes
    strict = evaluate_retrieval(others, gallery, certainty(0.0))
    assert "was set to accept" not in " ".join(record(strict, "d").notes)
    none = evaluate_retrieval(others, gallery, certainty())
    assert "The gallery has no limit" in " ".join(record(none, "d").notes)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("", r"Gallery 'g' is empty, .*headstart gallery add g DATA"),
        ("aa", r"Gallery 'g' has only one label, 'a', .*headstart gallery add g DATA"),
        ("ab", r"No label of gallery 'g' has two images of different groups"),
    ],
)
def test_galleries_that_cannot_be_evaluated(labels: str, message: str) -> None:
    points = np.zeros((0, 2), np.float32) if not labels else on_circle(*range(len(labels)))
    with pytest.raises(GalleryError, match=message):
        own_queries(enrolled(points, labels), "g")


def test_data_that_cannot_be_looked_up() -> None:
    gallery = enrolled(on_circle(0, 90), "ab")
    with pytest.raises(DataError, match=r"Every image of 'd' is enrolled in 'g'"):
        other_queries(gallery, gallery, "g", "d")
    with pytest.raises(
        DataError, match=r"No image of 'd' .* label of gallery 'g'. It has 'c'; the gallery has 'a'"
    ):
        other_queries(enrolled(on_circle(3), "c", name="q"), gallery, "g", "d")


def test_single_images_of_labels_can_be_looked_up_by_others() -> None:
    """A gallery of one image each is evaluated with other images."""
    gallery = enrolled(on_circle(0, 90), "ab")
    queries = Queries(enrolled(on_circle(10, 70), "ab", name="q"), own=False)
    assert evaluate_retrieval(queries, gallery, certainty()).recall_at_1.value == 1


def test_the_record_is_plain_json() -> None:
    """With each measure beside its interval."""
    gallery = enrolled(on_circle(*DEGREES), LABELS)
    found = evaluate_retrieval(own_queries(gallery, "g"), gallery, certainty(0.2))
    values = record(found).to_json()
    assert values["recall_at_1"] == {
        "value": found.recall_at_1.value,
        "ci95": list(found.recall_at_1.ci95 or ()),
        "method": "Wilson",
    }
    assert "measures" not in values and values["data"] is None
    assert values["notes"] == list(record(found).notes)
