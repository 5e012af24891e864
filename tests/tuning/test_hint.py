"""The hint about fine-tuning follows from the number of images and the errors on folds."""

import pytest

from headstart.tuning.hint import fine_tuning_hint


@pytest.mark.parametrize(
    ("images", "accuracy", "beginning"),
    [
        (1499, 0.5, "Fine-tuning would probably not help"),
        (1500, 0.881, "Fine-tuning would probably gain less than two points"),
        (1500, 0.879, "Fine-tuning would probably gain two points of accuracy or more"),
    ],
)
def test_both_must_be_large_enough(images: int, accuracy: float, beginning: str) -> None:
    """Few images, or few errors, leave little to gain."""
    hint = fine_tuning_hint(images, accuracy)
    assert hint.startswith(beginning)
    assert ("--tune auto" in hint) == ("or more" in hint)
