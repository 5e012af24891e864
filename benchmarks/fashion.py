"""Fashion-MNIST from Debian's package `dataset-fashion-mnist`, as image files."""

import csv
import gzip
from pathlib import Path

import numpy as np
from PIL import Image

SOURCE = Path("/usr/share/datasets/fashion-mnist")
CLASSES = (
    *("T-shirt", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def write_fashion(folder: Path, *, train: int = 5000, test: int = 5000) -> Path:
    """Write the first images of both parts as PNG files, and a CSV table that lists them."""
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "fashion.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        for split, prefix, count in (("train", "train", train), ("test", "t10k", test)):
            images, labels = read_fashion(prefix)
            for number, (pixels, label) in enumerate(
                zip(images[:count], labels[:count], strict=True)
            ):
                path = folder / f"{split}-{number:05d}.png"
                Image.fromarray(pixels).save(path)
                writer.writerow([path.name, CLASSES[label], split])
    return table


def read_fashion(
    prefix: str,
) -> tuple[
    np.ndarray[tuple[int, int, int], np.dtype[np.uint8]], np.ndarray[tuple[int], np.dtype[np.uint8]]
]:
    """Return the images of a part, "train" or "t10k", (images, 28, 28), and their class numbers."""
    images = _read(f"{prefix}-images-idx3-ubyte.gz", 16)
    return images.reshape(-1, 28, 28), _read(f"{prefix}-labels-idx1-ubyte.gz", 8)


def _read(name: str, header: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.frombuffer(gzip.decompress((SOURCE / name).read_bytes())[header:], np.uint8)
