"""Check files on a cluster."""

from collections.abc import Sequence

from headstart.data.checks import Checked, check_files
from headstart.data.manifest import Entry
from headstart.options import DecodeLimits


class CheckingStep:
    """Reads and decodes files.

    Args:
        limits: Maximum bytes and pixels per image.
    """

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits

    def __call__(self, part: tuple[int, Sequence[Entry]]) -> tuple[int, list[Checked]]:
        """Check the files of a numbered part."""
        number, entries = part
        return number, list(check_files(entries, self._limits))
