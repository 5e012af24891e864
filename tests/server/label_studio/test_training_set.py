"""What is trained on."""

import json
from pathlib import Path

from headstart.server.label_studio.training_set import Row, TrainingSet


def rows(**counts: int) -> list[Row]:
    """Return rows: so many with each label, or with the labels of a name like a_b."""
    return [
        (Path(f"{name}-{number}.png"), tuple(filter(None, name.split("_"))))
        for name, count in counts.items()
        for number in range(count)
    ]


def test_two_labels_with_five_images_are_enough() -> None:
    assert TrainingSet.of(rows(a=5, b=5), multiple=False).is_enough
    data = TrainingSet.of(rows(a=9, b=4), multiple=False)
    assert not data.is_enough
    assert data.what_is_missing.endswith("There are a: 9, b: 4.")
    assert TrainingSet.of([], multiple=False).what_is_missing.endswith("There are none.")


def test_rare_labels_wait() -> None:
    data = TrainingSet.of(rows(a=5, b=6, c=1, a_b=2), multiple=False)
    assert (data.labels, data.waiting, len(data.rows)) == (("a", "b"), {"c": 1}, 11)


def test_several_labels_are_had_and_lacked() -> None:
    data = TrainingSet.of(rows(a=4, a_b=2, _=5), multiple=True)
    assert (data.labels, data.waiting, len(data.rows)) == (("a",), {"b": 2}, 11)
    assert data.is_enough
    assert not TrainingSet.of(rows(a=9, _=4), multiple=True).is_enough


def test_labels_may_have_any_characters() -> None:
    name = 'a|b,"c"\n'
    paths = [(Path(f"{number}.png"), (name,)) for number in range(5)]
    lines = TrainingSet.of([*paths, *rows(d=5)], multiple=False).table().splitlines()
    assert json.loads(lines[0]) == {"path": "0.png", "label": name}
