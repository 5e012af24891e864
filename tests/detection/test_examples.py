"""Images for the training of a detector."""

import numpy as np
import pytest
import torch

from headstart.boxes import Boxes
from headstart.detection.examples import DetectionExamples


class Numbered:
    """A source whose rows are the numbers of the image and of the view."""

    background = True

    def rows(self, images, views):
        """See `RowSource.rows`."""
        views = np.broadcast_to(views, len(images))
        return torch.from_numpy(np.stack([images, views], axis=1)).float()


def boxes_at(*rows, crowd=False):
    """Return boxes of rows x1, y1, x2, y2, class."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    return Boxes(table[:, :4], table[:, 4].astype(np.int64), np.full(len(table), crowd))


@pytest.fixture
def examples(plan_of):
    """Ten images: with a box, without any, and with a crowd."""
    boxes = [boxes_at((10, 10, 40, 40, number % 2)) for number in range(8)]
    boxes += [Boxes.none(), boxes_at((10, 10, 40, 40, 1), crowd=True)]
    return DetectionExamples.of(Numbered(), plan_of(10, 4), boxes)


def test_an_epoch_shows_every_image_once(examples):
    """In batches that differ by one image at most, each in one of its views."""
    batches = list(examples.batches(0, 4, seed=0))
    assert [len(rows) for rows, _ in batches] == [4, 3, 3]
    assert examples.steps(4) == len(batches)
    shown = torch.cat([rows for rows, _ in batches])
    assert sorted(shown[:, 0].tolist()) == list(range(10))
    assert set(shown[:, 1].tolist()) <= {0, 1, 2, 3}
    assert len(set(shown[:, 1].tolist())) > 1


def test_batches_depend_on_seed_and_epoch_only(examples):
    """So that a training that is resumed sees what it would have seen."""

    def shown(epoch, seed):
        return torch.cat([rows for rows, _ in examples.batches(epoch, 4, seed)]).tolist()

    assert shown(3, 0) == shown(3, 0)
    assert shown(3, 0) != shown(4, 0)
    assert shown(3, 0) != shown(3, 1)


def test_boxes_belong_to_the_view_that_is_shown(examples):
    """They are those that the plan has for the image and the view of each row."""
    for rows, truth in examples.batches(1, 4, seed=0):
        for number, (image, view) in enumerate(rows.long().tolist()):
            expected, visible = examples.plan.truth(image, view, examples.boxes[image].corners)
            kept = visible & ~examples.boxes[image].crowd
            present = truth.present[number]
            assert truth.corners[number][present].tolist() == expected[kept].tolist()
            assert truth.classes[number][present].tolist() == [image % 2] * int(kept.sum())


def test_crowds_and_missing_boxes_are_not_learnt(examples):
    """An image without boxes, and one with a crowd only, are background."""
    truth = examples.truth(np.array([8, 9, 0]), np.array([0, 0, 0]))
    assert truth.present.tolist() == [[False], [False], [True]]


@pytest.mark.parametrize(
    ("images", "size", "steps"),
    [(1, 2, 1), (2, 2, 1), (3, 2, 1), (4, 2, 2), (17, 16, 2), (10, 16, 1)],
)
def test_the_number_of_steps(plan_of, images, size, steps):
    """Images by the size of a batch, rounded up, unless one would be left alone."""
    assert DetectionExamples.of(Numbered(), plan_of(images), [Boxes.none()] * images).steps(
        size
    ) == (steps)


def test_a_part_of_the_examples(examples):
    """It keeps the numbers of its images, so that it reads their rows, boxes and sizes."""
    part = examples.take(np.array([7, 2, 8]))
    assert len(part) == 3
    shown = torch.cat([rows for rows, _ in part.batches(0, 2, seed=0)])
    assert sorted(shown[:, 0].tolist()) == [2, 7, 8]
    assert part.true_boxes == [examples.boxes[number] for number in (7, 2, 8)]
    assert part.hashes == [examples.hashes[number] for number in (7, 2, 8)]
    assert part.sizes == [(96, 72)] * 3
    assert part.take(np.array([1])).images.tolist() == [2]
