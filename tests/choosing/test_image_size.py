"""The image size that a backbone is given."""

import pytest

from headstart.backbones.backbone import load_backbone
from headstart.choosing.image_size import suitable_size

TINY = "test_efficientnet"


@pytest.mark.parametrize(
    ("name", "photos", "size"),
    [
        (TINY, 100, 160),
        (TINY, 160, 160),
        (TINY, 200, 200),
        (TINY, 240, 240),
        ("test_vit", 1000, 160),
    ],
)
def test_the_size_follows_the_photos(name, photos, size):
    """The training size is kept for small photos; slightly larger photos keep their own."""
    assert suitable_size(load_backbone(name, weights="random"), photos) == size


def test_large_photos_come_to_at_most_three_halves_of_the_training_size():
    """Photos far larger than the training size are resized to somewhat more than that."""
    assert 160 <= suitable_size(load_backbone(TINY, weights="random"), 4000) <= 240
