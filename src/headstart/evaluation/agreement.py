"""Whether the estimate of a cross-validation agrees with what is measured on another part."""

from typing import Literal

from headstart.evaluation.intervals import difference
from headstart.record import Disagreement, Estimate

KeptTogether = Literal["copies", "groups", "series"]
"""What the folds kept together: near duplicates only, the user's groups, or series that were found.

Near duplicates are always kept together.
"""

_PARTS = {"val": "validation", "test": "test"}
_DIFFERENT = "the two parts contain different kinds of images"
_DISTRUST = "Do not rely on the folds."
_UNUSED = "The model was chosen on the validation part, so the folds did not affect it."


def find_disagreement(
    folds: Estimate,
    part: Literal["val", "test"],
    accuracy: float,
    images: int,
    *,
    kept: KeptTogether,
    val_decided: bool = False,
) -> Disagreement | None:
    """Compare the accuracy on folds with that on a part that was not trained on.

    Args:
        folds: The estimate of the chosen head on the held-out folds of the training part.
        part: The other part.
        accuracy: The accuracy on it.
        images: The number of its images.
        kept: What the folds kept together.
        val_decided: Whether the model was chosen on the validation part instead of the folds.

    Returns:
        The disagreement if the 95% interval of the difference does not contain 0, whichever is
        higher; else None.
    """
    low, high = difference(folds.accuracy, folds.images, accuracy, images)
    if low <= 0 <= high:
        return None
    advice = _UNUSED if val_decided else _DISTRUST
    points = abs(folds.accuracy - accuracy) * 100
    bounds = sorted((abs(low) * 100, abs(high) * 100))
    message = (
        f"Cross-validation on the training part estimates an accuracy of {folds.accuracy:.1%}, "
        f"but it is {accuracy:.1%} on the {_PARTS[part]} part: a difference of {points:.1f} points "
        f"(95% interval {bounds[0]:.1f} to {bounds[1]:.1f}). "
        f"{_explain(low > 0, part, kept, advice)}"
    )
    return Disagreement(part, folds.accuracy, accuracy, (low, high), message)


def _explain(too_high: bool, part: str, kept: KeptTogether, advice: str) -> str:
    """Return the likely reasons, and what to do."""
    name = _PARTS[part]
    if not too_high and kept == "series":
        return (
            f"If the {name} part was drawn at random, it has images of the same series as the "
            f"training part, and the folds are the better estimate. Or the {name} part is easier, "
            f"or {_DIFFERENT}."
        )
    if not too_high:
        return f"{advice} The {name} part may be easier, or {_DIFFERENT}."
    if kept != "copies":
        return (
            f"{advice} The {kept} may be too small to separate images that belong "
            f"together, or {_DIFFERENT}."
        )
    return (
        f"{advice} The training part may contain series (near copies of one subject, bursts, "
        "photos of one shelf), which the folds tear apart; if so, keep each series together with "
        f"--group. Otherwise, {_DIFFERENT}."
    )
