"""Whether fine-tuning would probably help, from the number of images and the errors on folds.

A trial that is short enough to be run each time says less: see docs/decisions/hint.md.
"""

MIN_IMAGES = 1500
"""With fewer training images, fine-tuning gained less than two points on all sets measured."""

MIN_ERRORS = 0.12
"""The share of errors on folds below which it gained less than two points on all sets measured."""

_TRY = "--tune auto --minutes 10 finds out, and keeps the result only if it helps"


def fine_tuning_hint(images: int, accuracy: float) -> str:
    """Return a sentence about what fine-tuning would probably gain.

    Args:
        images: The number of training images.
        accuracy: The accuracy of the frozen model on held-out folds, 0 to 1.
    """
    errors = 1 - accuracy
    if images < MIN_IMAGES:
        return (
            f"Fine-tuning would probably not help: it rarely gained more than a point or two with "
            f"fewer than {MIN_IMAGES:,} training images, and there are {images:,}."
        )
    if errors < MIN_ERRORS:
        return (
            f"Fine-tuning would probably gain less than two points of accuracy, as only "
            f"{errors:.0%} of held-out images are predicted wrongly."
        )
    return (
        f"Fine-tuning would probably gain two points of accuracy or more, as {errors:.0%} of "
        f"held-out images are predicted wrongly and there are {images:,} training images: {_TRY}."
    )
