"""Licences of pretrained weights: what they are, and whether they allow commercial use."""

import re

_PERMISSIVE = re.compile(r"apache-2\.0|mit|bsd-[23]-clause|cc0-1\.0|cc-by(-sa)?-[34]\.0")
# "nc" as a word, as in cc-by-nc-4.0. Apple's licence for research models is apple-amlr.
_NON_COMMERCIAL = re.compile(r"\bnc\b|non-?commercial|research|amlr")
_UNKNOWN = ("unknown", "other")


def licence_of(architecture: str, weights: str = "imagenet") -> str | None:
    """Return the licence of an architecture's weights.

    Args:
        architecture: timm's name.
        weights: As the user named them.

    Returns:
        timm's identifier; "unknown" where timm has none, and for other weights from the hub; None
        for random weights and the user's own files.
    """
    from timm.models import get_pretrained_cfg  # Slow, and a bundle is read without it.

    if weights != "imagenet":
        return "unknown" if weights.startswith("hf-hub:") else None
    settings = get_pretrained_cfg(architecture)
    return str(getattr(settings, "license", None) or "unknown")


def allows_commercial_use(licence: str | None) -> bool | None:
    """Return whether a licence allows commercial use; None where its name does not say so."""
    if licence and _PERMISSIVE.fullmatch(licence):
        return True
    return False if licence and _NON_COMMERCIAL.search(licence) else None


def caution(name: str, licence: str | None) -> str | None:
    """Return what to know before a backbone is used commercially, or None if there is nothing."""
    if licence is None or allows_commercial_use(licence):
        return None
    return f"Weights of '{name}': {described(licence)}."


def described(licence: str | None) -> str:
    """Return a licence in words, with what it means for commercial use unless that is allowed."""
    if licence is None or licence in _UNKNOWN:
        return "licence unknown"
    allowed = allows_commercial_use(licence)
    if allowed:
        return f"licence {licence}"
    if allowed is None:
        return f"licence {licence}, whose terms may restrict commercial use"
    return f"licence {licence}, which does not allow commercial use"
