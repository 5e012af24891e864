"""Where unpacked archives, embedded images and the demo's table are put."""

from pathlib import Path

from headstart.errors import StoreError


def make_staging(folder: Path) -> Path:
    """Make the folder and return it.

    Raises:
        StoreError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The folder '{folder}' cannot be made: {error.strerror}. "
            "Choose another one with --cache."
        ) from None
    return folder
