"""Series are found by names and features together, and the suggested pattern groups them."""

import re
import time
import tracemalloc

import numpy as np
import pytest

from headstart.evaluation.series import find_series, guess_by_names


def subjects(count=30, frames=8, width=16, spread=0.1, seed=0):
    """Return features of several frames of each of some subjects, and their class numbers."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count, 1, width))
    rows = (centres + spread * rng.normal(size=(count, frames, width))).reshape(-1, width)
    return rows.astype(np.float32), np.repeat(np.arange(count) % 2, frames)


def find(names, features, targets, **options):
    """Look for series among images without copies."""
    return find_series(names, features, targets, [str(n) for n in range(len(names))], **options)


NAMES = {
    "number": "cat/burst{subject}_{frame:03d}.jpg",
    "folder": "cat/shelf{subject}/{frame:03d}.jpg",
    "before a separator": "cat/p{subject:02d}-left{frame}-of-9.jpg",
}


@pytest.mark.parametrize("form", NAMES.values(), ids=NAMES)
def test_the_suggested_pattern_groups_each_series(form):
    """The pattern matches the same text in all frames of a subject, and nowhere else."""
    names = [form.format(subject=n // 8, frame=n % 8) for n in range(240)]
    search = find(names, *subjects())
    found = search.series
    assert (found.count, found.images, found.share) == (30, 240, 1.0)
    assert search.groups.tolist() == [n // 8 * 8 for n in range(240)]
    assert found.chance == pytest.approx(7 / 119)
    matched = [re.search(found.pattern, name).group(1) for name in names]
    assert len(set(matched)) == 30
    assert all(len(set(matched[start : start + 8])) == 1 for start in range(0, 240, 8))
    assert found.message.endswith(
        f"To keep series together there too, train with --group '{found.pattern}'."
    )


def test_near_names_alone_are_not_series():
    """If frames of one name are not alike, nothing is reported."""
    names = [NAMES["number"].format(subject=n // 8, frame=n % 8) for n in range(240)]
    features, targets = subjects(spread=10.0)
    assert find(names, features, targets) is None


def test_near_copies_without_related_names_are_clustered():
    """Where names do not tell, images that are much nearer to each other than to others do."""
    features, targets = subjects(width=64)
    found = find([f"cat/{n:04d}.jpg" for n in range(240)], features, targets)
    assert found.groups.tolist() == [n // 8 * 8 for n in range(240)]
    series = found.series
    assert (series.pattern, series.count, series.images, series.share) == (None, 30, 240, 1.0)
    assert "The folds keep clusters of similar images together (240 images in 30 clusters)" in (
        series.message
    )
    assert series.message.endswith("say so with --group.")


def test_classes_that_are_far_apart_are_not_series():
    """Images that are nearer to their class than to any other are not copies for that."""
    rng = np.random.default_rng(0)
    targets = np.arange(240) % 2
    features = 5.0 * rng.normal(size=(2, 16))[targets] + rng.normal(size=(240, 16))
    names = [f"cat/{n:04d}.jpg" for n in range(240)]
    assert find(names, features.astype(np.float32), targets) is None


def test_series_of_a_class_that_is_too_large_are_only_reported(monkeypatch):
    """Clustering compares all pairs, which would take too much memory."""
    monkeypatch.setattr("headstart.evaluation.clusters.MAX_CLUSTERED", 100)
    found = find([f"cat/{n:04d}.jpg" for n in range(240)], *subjects())
    assert found.groups.tolist() == list(range(240))
    assert (found.series.count, found.series.images) == (0, 0)
    assert "Folds and a random test part tear series apart" in found.series.message


def test_known_groups_and_series_are_both_kept_together():
    """A copy that joins two series joins their groups."""
    names = [NAMES["number"].format(subject=n // 8, frame=n % 8) for n in range(240)]
    features, targets = subjects()
    known = [str(8 if n == 0 else n) for n in range(240)]
    groups = find_series(names, features, targets, known).groups
    assert groups.tolist() == [0] * 16 + [n // 8 * 8 for n in range(16, 240)]


def test_classes_are_not_series():
    """Images of a class are alike, and share a prefix, which is not a reason to group them."""
    features, _ = subjects(count=6, frames=40)
    classes = np.repeat(np.arange(6), 40)
    names = [f"{'abcdef'[n // 40]}/{'abcdef'[n // 40]}_{n:03d}.jpg" for n in range(240)]
    assert find(names, features, classes) is None


def test_copies_that_folds_keep_together_are_not_series():
    """Frames that are in one group already need no advice."""
    names = [NAMES["number"].format(subject=n // 8, frame=n % 8) for n in range(240)]
    features, targets = subjects()
    assert find_series(names, features, targets, [str(n // 8) for n in range(240)]) is None


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_ten_thousand_images_take_under_a_second_and_are_not_copied(kind):
    """The search compares a sample with a block of images at a time, whose copies are small."""
    names = [NAMES["number"].format(subject=n // 10, frame=n % 10) for n in range(10_000)]
    features, targets = subjects(1000, 10, width=1280)
    features = features.astype(kind)
    begin = time.process_time()
    assert find(names, features, targets).series.count == 1000
    assert time.process_time() - begin < 1
    tracemalloc.start()
    find(names, features, targets)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * features.size  # A float32 copy takes twice as much.


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (["p1_1.png", "p1_2.png"], True),
        (["scan12-left-3.jpg", "scan12-left-4.jpg"], True),
        (["2/p1 1.jp2", "3/p1 2.jp2"], True),
        (["001.jp2", "002.jp2"], False),
        (["img_1.png", "img_2.png"], False),
        (["p1/1.png", "p1/2.png"], False),
    ],
)
def test_stems_are_guessed_by_names(names: list[str], groups: bool) -> None:
    """A stem has a number of its own, before the last one of the file's name."""
    several = [name.replace("1", "1" * count, 1) for count in range(1, 6) for name in names]
    found = guess_by_names(several)
    assert (found is not None) == groups
    if found:
        assert len(set(found.groups.tolist())) == 5
