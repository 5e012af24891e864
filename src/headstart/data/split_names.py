"""The usual names of the parts of a split, in folders and tables."""

import re

_NAMES = {
    "train": ("train", "training", "tr", "trn"),
    "val": ("val", "valid", "validation", "validate", "dev", "development"),
    "test": ("test", "testing", "tst", "holdout", "heldout"),
}
_SPLITS = {name: split for split, names in _NAMES.items() for name in names}
# Words that people add to the names of such folders, as in "training_set" or "images-test".
_ADDED = {"set", "data", "dataset", "images", "image", "imgs", "img", "photos", "pictures"}
_ADDED |= {"split", "folder", "part", "new", "full"}


def split_of(name: str) -> str | None:
    """Return "train", "val" or "test" if a name means that, such as `Training_Set`; else None."""
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())
    meant = [word for word in map(_without_added, words) if word and word not in _ADDED]
    return _SPLITS.get(meant[0]) if len(meant) == 1 else None


def _without_added(word: str) -> str:
    """Split "trainset" into the name of the part and what was added to it."""
    for added in ("dataset", "set", "data", "images", "imgs"):
        if word.endswith(added) and word.removesuffix(added) in _SPLITS:
            return word.removesuffix(added)
    return word
