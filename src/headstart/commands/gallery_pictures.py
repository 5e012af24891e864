"""Pictures of enrolled images, from the folder that they were enrolled from."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from headstart.data.contract import CURRENT
from headstart.errors import OptionError, UnreadableImage
from headstart.files import file_sha256
from headstart.galleries.answers import Hit
from headstart.report.thumbnails import thumbnail

_KEPT = 4_096
_SIDE = 224


class EnrolledPictures:
    """Small pictures of enrolled images, of which a gallery has only the names.

    Args:
        folder: The folder that contains them under these names.

    Raises:
        OptionError: There is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise OptionError(f"The folder of pictures '{folder}' does not exist.")
        self._folder = folder.resolve()
        self._made = lru_cache(_KEPT)(self._make)

    def of(self, hit: Hit) -> bytes | None:
        """Return a small JPEG of an enrolled image; None if the folder does not have that image.

        Several threads may call this.
        """
        return self._made(hit.image, hit.sha256)

    def _make(self, name: str, sha256: str) -> bytes | None:
        """Make a picture, if the file is in the folder and is the one that was enrolled."""
        path = (self._folder / name).resolve()
        try:
            if not path.is_relative_to(self._folder) or file_sha256(path) != sha256:
                return None
            return thumbnail(str(path), CURRENT, _SIDE)
        except (OSError, ValueError, UnreadableImage):
            return None
