"""Licences of pretrained weights, and whether they allow commercial use."""

import re

_PERMISSIVE = re.compile(r"apache-2\.0|mit|bsd-[23]-clause|cc0-1\.0|cc-by(-sa)?-[34]\.0")
# "nc" is matched as a word, as in cc-by-nc-4.0. Apple's licence for research models is apple-amlr.
_NON_COMMERCIAL = re.compile(r"\bnc\b|non-?commercial|research|amlr")
_UNKNOWN = ("unknown", "other")
_HUB = "hf-hub:"
# The identifiers among timm's that the hub has too: https://hf.co/docs/hub/repositories-licenses
_OF_HUB = re.compile(
    r"apache-2\.0|mit|bsd-[23]-clause|cc0-1\.0|cc-by(-nc)?(-sa)?-[34]\.0|cc-by-nc-nd-[34]\.0|"
    r"apple-a(mlr|scl)|gemma"
)


def licence_of(architecture: str, weights: str = "imagenet") -> str | None:
    """Return the licence of an architecture's weights.

    Args:
        architecture: timm's name.
        weights: The weights as the user named them.

    Returns:
        The identifier of the licence that timm or, for weights from another repository of the hub,
        its card names; "unknown" if there is none. None for random weights and the user's own
        files.
    """
    if weights.startswith(_HUB):
        from headstart.backbones.hub import licence_in_card  # Its client is slow to import.

        return licence_in_card(weights.removeprefix(_HUB)) or "unknown"
    if weights != "imagenet":
        return None
    from timm.models import get_pretrained_cfg  # Slow, and not needed to load a bundle.

    settings = get_pretrained_cfg(architecture)
    return str(getattr(settings, "license", None) or "unknown")


def allows_commercial_use(licence: str | None) -> bool | None:
    """Return whether a licence allows commercial use; None if its name does not show it."""
    if licence and _PERMISSIVE.fullmatch(licence):
        return True
    return False if licence and _NON_COMMERCIAL.search(licence) else None


def licence_warning(name: str, licence: str | None) -> str | None:
    """Return a warning if the licence may restrict commercial use, otherwise None."""
    if licence is None or allows_commercial_use(licence):
        return None
    return f"Weights of '{name}': {describe_licence(licence)}."


def describe_licence(licence: str | None) -> str:
    """Describe a licence, including any restriction of commercial use."""
    if licence is None or licence in _UNKNOWN:
        return "licence unknown"
    allowed = allows_commercial_use(licence)
    if allowed:
        return f"licence {licence}"
    if allowed is None:
        return f"licence {licence}, whose terms may restrict commercial use"
    return f"licence {licence}, which does not allow commercial use"


def hub_licence(licence: str | None) -> tuple[str, str]:
    """Return a licence as the metadata of a model card names it.

    Returns:
        The hub's identifier and, if that is "other", the name of the licence; otherwise "".
    """
    if licence and _OF_HUB.fullmatch(licence):
        return licence, ""
    return "other", "unknown" if licence is None or licence in _UNKNOWN else licence
