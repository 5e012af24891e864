"""What fine-tuning gained, in words."""

from headstart.record.values import Tuning


def describe_gain(tuning: Tuning) -> str:
    """Return how the tuned model compares with the frozen one on the same held-out images.

    Returns:
        A predicate, such as "better by 1 image in 200, which may be chance": the 95% interval of
        the difference contains 0. "" if nothing was held out.
    """
    if tuning.gain_ci95 is None or tuning.tuned_accuracy is None or tuning.probe_accuracy is None:
        return ""
    gained = round(tuning.images * (tuning.tuned_accuracy - tuning.probe_accuracy))
    if not gained:
        return f"as accurate on {tuning.images:,} images"
    images = f"{abs(gained):,} image{'s' if abs(gained) > 1 else ''} in {tuning.images:,}"
    low, high = tuning.gain_ci95
    chance = ", which may be chance" if low <= 0 <= high else ""
    return f"{'better' if gained > 0 else 'worse'} by {images}{chance}"
