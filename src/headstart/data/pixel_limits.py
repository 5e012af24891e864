"""Images with more pixels than are read: how this is said, and how it is recognised."""

from headstart.options import DecodeLimits

_MORE = "more than the limit of"


def too_many_pixels(limits: DecodeLimits, size: tuple[int, int] | None = None) -> str:
    """Return the reason why an image is not read.

    Args:
        limits: The limit that it exceeds.
        size: Its width and height; None if they are unknown.
    """
    if size is None:
        return f"it has {_MORE} {limits.max_pixels:,} pixels"
    width, height = size
    return (
        f"it has {width * height:,} pixels ({width:,} x {height:,}), {_MORE} {limits.max_pixels:,}"
    )


def is_too_large(reason: str) -> bool:
    """Return whether an image was not read only because it has too many pixels."""
    return _MORE in reason
