"""What the user should know about images with several labels each."""

from collections.abc import Iterator

from headstart.arrays import Flags, Targets
from headstart.data.images import Images
from headstart.data.paths import list_names
from headstart.errors import DataError


def describe_labels(images: Images, several: str) -> str:
    """Return how the labels were read, and how many there are.

    Args:
        images: The images.
        several: Where the labels were taken from, see `listing.Source`.
    """
    targets, count = images.all.labels, len(images.classes)
    parts = [f"{count:,} label{'s' if count > 1 else ''}"]
    if without := int((targets == 0).all(axis=1).sum()):
        parts.append(f"{without:,} image{'s' if without > 1 else ''} without any")
    if (unknown := float((targets < 0).mean())) > 0:
        share = f"{unknown:.0%}" if unknown >= 0.01 else "under 1%"
        parts.append(f"{share} of the values unknown")
    return f"Labels: several per image, from {several} ({'; '.join(parts)})."


def check_learnable(data: object, images: Images) -> None:
    """Refuse training images of which no label distinguishes some from others.

    Raises:
        DataError: Each label is always present, always absent or always unknown.
    """
    targets = images.train.labels
    if not ((targets == 1).any(axis=0) & (targets == 0).any(axis=0)).any():
        raise DataError(
            f"No label of '{data}' is present in some training images and absent in others, so "
            "there is nothing to learn."
        )


def label_warnings(images: Images) -> Iterator[str]:
    """Yield a sentence for each thing that may be a mistake in several labels per image."""
    train, every = images.train.labels, images.all.labels
    present, absent = (train == 1).any(axis=0), (train == 0).any(axis=0)
    elsewhere = (every == 1).any(axis=0) & ~present  # Named as labels without training images.
    for which, how in (
        (present & ~absent, "present in every training image in which they are known"),
        (~present & ~absent & ~elsewhere, "unknown in every training image"),
        (absent & ~present & ~elsewhere, "present in no training image"),
    ):
        if len(train) and (names := _names(images, which)):
            yield f"Labels that are {how}, so they cannot be learnt: {list_names(names)}."
    if len(images.classes) > 1 and len(every) and _is_single(every):
        yield "Every image has exactly one label. If that is always so, pass --task single."


def _is_single(targets: Targets) -> bool:
    return bool((targets >= 0).all() and ((targets == 1).sum(axis=1) == 1).all())


def _names(images: Images, which: Flags) -> list[str]:
    return [name for name, chosen in zip(images.classes, which.tolist(), strict=True) if chosen]
