"""The files of a gallery, by which its folder is recognised. Importing this is cheap."""

from pathlib import Path

SETTINGS, TENSORS, TABLE = "gallery.json", "model.safetensors", "images.lance"
CARD = "README.md"


def is_gallery(folder: Path) -> bool:
    """Return whether a folder is a gallery."""
    return (folder / SETTINGS).is_file()
