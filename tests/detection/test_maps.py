"""The maps of a frozen backbone in the boundary store."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from headstart.backbones.maps import StageMaps, row_width
from headstart.data.decoding import as_loaded
from headstart.data.inputs import as_image
from headstart.errors import OptionError


def stores(cache: Path) -> dict[str, int]:
    """Return the size of each file of the boundary store."""
    return {path.name: path.stat().st_size for path in (cache / "boundary").iterdir()}


@pytest.fixture
def moved(frozen, tmp_path):
    """The same backbone with an empty cache."""
    from copy import copy

    extractor = copy(frozen.extractor)
    extractor.cache = tmp_path
    return replace(frozen, extractor=extractor)


@pytest.mark.parametrize(("count", "views"), [(1, 1), (4, 3), (3, 6)])
def test_the_size_of_the_store_is_predicted(moved, plan_of, tmp_path, count, views):
    """To the byte, before anything is written."""
    plan = plan_of(count, views)
    predicted = moved.size_of(plan)
    moved.check_room([plan], limit=predicted)
    assert not (tmp_path / "boundary").exists()
    moved.stored(plan, limit=predicted)
    assert sum(stores(tmp_path).values()) == predicted


def decoded(plan, image):
    """Return the pixels that the views of an image are made from."""
    return plan.decoded.pixels_of(as_loaded(as_image(plan.files[image][0])))


def test_rows_are_the_maps_of_the_views(frozen, plan_of):
    """In half precision, those that PyTorch computes from the pixels of the view."""
    plan = plan_of(3, 4)
    rows = frozen.stored(plan, limit=1e9).rows(np.array([2, 0]), np.array([3, 1]))
    pixels = [plan.view(decoded(plan, image), image, view) for image, view in ((2, 3), (0, 1))]
    maps = StageMaps(frozen.extractor.backbone).eval()
    with torch.no_grad():
        expected = maps(torch.from_numpy(np.stack(pixels)))
    assert rows.shape == (2, row_width(frozen.shapes))
    torch.testing.assert_close(rows, expected, atol=0.02, rtol=0.01)


def test_stored_maps_are_not_computed_again(frozen, plan_of):
    """A second training with the same views reads them."""
    done: list[tuple[int, int]] = []
    first = frozen.stored(plan_of(5, 2), limit=1e9, progress=lambda *at: done.append(at))
    assert done[-1] == (10, 10)
    done.clear()
    again = frozen.stored(plan_of(5, 2), limit=1e9, progress=lambda *at: done.append(at))
    assert done == []
    assert again.rows(np.arange(5), 1).equal(first.rows(np.arange(5), 1))
    frozen.stored(plan_of(5, 2, seed=1), limit=1e9, progress=lambda *at: done.append(at))
    assert done[-1] == (10, 10)


def test_all_stores_of_a_training_must_fit_together(moved, plan_of, tmp_path):
    """The error has both sizes and what to do; nothing is written."""
    plans = [plan_of(4, 3), plan_of(2, 1)]
    needed = sum(map(moved.size_of, plans))
    moved.check_room(plans, limit=needed)
    with pytest.raises(OptionError) as error:
        moved.check_room(plans, limit=needed - 1)
    assert str(error.value) == (
        f"The maps of 6 images in up to 3 views take {needed / 1e9:.3g} GB, and "
        f"{(needed - 1) / 1e9:.3g} GB may be used. "
        "Use a lower --views or --image-size, or a higher --store-gb."
    )
    assert not (tmp_path / "boundary").exists()


def test_a_full_disk_is_noticed_before_writing(moved, plan_of, monkeypatch):
    """Nine tenths of the free space may be used, and what this training has there already."""
    plan = plan_of(4, 3)
    needed = moved.size_of(plan)
    monkeypatch.setattr("headstart.detection.maps.free_bytes", lambda folder: needed)
    with pytest.raises(OptionError, match="may be used"):
        moved.check_room([plan], limit=1e12)
    moved.stored(plan, limit=1e12)
    moved.check_room([plan], limit=1e12)


def test_older_stores_make_room(moved, plan_of, tmp_path):
    """The least recently used store is removed if the limit would be exceeded."""
    first, second = plan_of(4, 3), plan_of(4, 3, seed=1)
    moved.stored(first, limit=1e9)
    before = set(stores(tmp_path))
    moved.stored(second, limit=1.5 * moved.size_of(first))
    assert not before & set(stores(tmp_path))
    assert len(stores(tmp_path)) == 2
