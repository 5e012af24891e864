"""The task with labelled boxes."""

import numpy as np
import pytest

from headstart.data.boxes.labels import LabelledBox, write_boxes
from headstart.tasks.boxes import LabelledBoxes

TASK = LabelledBoxes()
CAT, DOG = LabelledBox("cat", 10, 10, 50, 50), LabelledBox("dog", 60, 10, 90, 40)


def moved(box, by):
    """Return a box that is further right."""
    return box._replace(x1=box.x1 + by, x2=box.x2 + by)


def conflict(*images):
    """Return the conflict of copies with these boxes."""
    return TASK.conflict({write_boxes(boxes) for boxes in images})


def test_classes_are_the_labels_of_all_boxes():
    """Sorted, each once; images without boxes have none."""
    texts = [write_boxes([DOG, CAT]), "[]", write_boxes([CAT, CAT])]
    assert TASK.classes(texts) == ("cat", "dog")
    assert TASK.classes(["[]"]) == ()


def test_targets_are_the_classes_in_an_image():
    """Splits balance them; a box of an unknown class does not count."""
    texts = [write_boxes([DOG, CAT]), "[]", write_boxes([CAT, CAT]), write_boxes([DOG])]
    targets = TASK.targets(texts, ("cat", "dog"))
    assert targets.tolist() == [[1, 1], [0, 0], [1, 0], [0, 1]]
    assert TASK.targets(texts, ("cat",)).tolist() == [[1], [0], [1], [0]]
    assert TASK.present(targets) == {0, 1}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([CAT], [CAT]),
        ([CAT], [moved(CAT, 2)]),
        ([CAT], [moved(CAT, 13)]),  # 27 of 53 columns.
        ([CAT, DOG], [DOG, moved(CAT, 3)]),
        ([CAT, moved(CAT, 30)], [moved(CAT, 31), CAT]),
        ([], []),
    ],
)
def test_copies_with_nearly_equal_boxes_agree(first, second):
    """They overlap by half at least, in whatever order they are listed."""
    assert conflict(first, second) is None
    assert conflict(second, first) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([CAT], []),
        ([CAT], [moved(CAT, 14)]),  # 26 of 54 columns.
        ([CAT], [CAT._replace(label="dog")]),
        ([CAT, DOG], [CAT]),
        ([CAT], [CAT, CAT]),
        ([CAT, DOG], [CAT, moved(DOG, 30)]),
    ],
)
def test_copies_with_other_boxes_conflict(first, second):
    """One more or fewer, elsewhere, or with another label."""
    said = "copies of the image have different boxes"
    assert conflict(first, second) == said
    assert conflict(second, first) == said


def test_one_of_several_copies_may_conflict():
    """Two agree, the third does not."""
    assert conflict([CAT], [moved(CAT, 1)]) is None
    assert conflict([CAT], [moved(CAT, 1)], [DOG]) == "copies of the image have different boxes"


def test_a_class_in_every_image_is_learnt():
    """Where it is in the image is what is learnt."""
    targets = np.ones((3, 1), np.int64)
    assert TASK.unlearnable(targets, ["a", "b", "c"]) == set()


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        (("a",), "Detector of 1 class of objects"),
        (("a", "b"), "Detector of 2 classes of objects"),
    ],
)
def test_it_is_described_by_the_number_of_classes(classes, text):
    """In the model card."""
    assert TASK.describe(classes) == text


def test_its_name_is_boxes():
    """By which a bundle and a record name it."""
    assert TASK.name == "boxes"


def test_labels_as_people_write_them():
    """The first boxes with their rounded places."""
    assert TASK.label_text(write_boxes([CAT, moved(DOG, 0.6)])) == (
        "cat (10, 10, 50, 50), dog (61, 10, 91, 40)"
    )
    assert TASK.label_text("[]") == "no boxes"
    many = TASK.label_text(write_boxes([moved(CAT, step) for step in range(5)]))
    assert many.endswith("cat (12, 10, 52, 50) and 2 more")


def test_labels_of_copies_of_another_size():
    """They agree once both are scaled."""
    half = CAT._replace(x1=5, y1=5, x2=25, y2=25)
    assert conflict([CAT], [half])
    scaled = [
        TASK.scaled_label(write_boxes([box]), size)
        for box, size in ((CAT, (100, 80)), (half, (50, 40)))
    ]
    assert TASK.conflict(scaled) is None
