"""Counts of what was left out or changed, by kind, with the first images as examples."""

from collections import Counter

from headstart.data.paths import list_names

_EXAMPLES = 3


class Tally:
    """Counts what happened to boxes or images, for one sentence of each kind."""

    def __init__(self) -> None:
        self._kinds: dict[str, Counter[str]] = {}
        self._said: list[str] = []

    def add(self, kind: str, image: str, count: int = 1) -> None:
        """Count something.

        Args:
            kind: The beginning of the sentence, such as "Boxes outside the image, left out".
            image: The name of the image.
            count: How many of this kind there are in the image.
        """
        if count:
            self._kinds.setdefault(kind, Counter())[image] += count

    def total(self, kind: str) -> int:
        """Return how often something was counted."""
        return self._kinds[kind].total() if kind in self._kinds else 0

    def say(self, sentence: str) -> None:
        """Add a sentence as it is."""
        self._said.append(sentence)

    def sentences(self) -> tuple[str, ...]:
        """Return a sentence for each kind, how often it happened and where, and all others."""
        counted = [
            f"{kind}: {images.total():,} ({list_names(list(images), _EXAMPLES)})."
            for kind, images in self._kinds.items()
        ]
        return (*counted, *self._said)
