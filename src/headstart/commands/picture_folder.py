"""A folder that pictures are written into, under the names of their images."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image

from headstart.errors import OutputError
from headstart.files import write_atomically
from headstart.report.thumbnails import as_jpeg

# Larger pictures show no more of a heat map.
_MAX_SIDE = 1024


class PictureFolder:
    """Pictures in a folder, which is made when the first one is written.

    Args:
        folder: The folder.
        overwrite: Whether to replace pictures of an earlier call.
        written: The names of pictures of an earlier call that are kept.
        side: The longer side of a picture, in pixels, at most.

    Raises:
        OutputError: The folder holds files already, and may not be changed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        overwrite: bool,
        written: Iterable[str] = (),
        side: int = _MAX_SIDE,
    ) -> None:
        if folder.is_file():
            raise OutputError(f"Output '{folder}' is a file. Pass the name of a folder.")
        if folder.is_dir() and any(folder.iterdir()) and not overwrite:
            raise OutputError(
                f"Output '{folder}' already exists. Pass --overwrite (overwrite=True) to write "
                "into it, or another folder."
            )
        self._folder, self._side = folder, side
        self._taken = set(written)

    def write(self, image: str, picture: Image.Image) -> Path:
        """Write a picture under the name of its image, with a number if that is taken."""
        name = next(name for name in _names(Path(image).name) if name not in self._taken)
        small = picture.copy()
        small.thumbnail((self._side, self._side))
        return self._write(name, as_jpeg(small))

    def write_once(self, sha256: str, jpeg: bytes) -> Path:
        """Write a training image under a part of its hash, unless it has been written."""
        name = f"training-{sha256[:12]}.jpg"
        return self._folder / name if name in self._taken else self._write(name, jpeg)

    def _write(self, name: str, jpeg: bytes) -> Path:
        self._taken.add(name)
        path = self._folder / name
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, jpeg)
        except OSError as error:
            raise OutputError(f"Output '{path}' cannot be written: {error.strerror}.") from None
        return path


def _names(image: str) -> Iterator[str]:
    stem = Path(image).stem or "image"
    yield f"{stem}.jpg"
    number = 2
    while True:
        yield f"{stem}-{number}.jpg"
        number += 1
