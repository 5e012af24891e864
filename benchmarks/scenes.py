"""Made-up scenes with exact boxes: pictures of Fashion-MNIST on photographs of solar cells."""

import json
from pathlib import Path

import elpv_dataset
import numpy as np
from PIL import Image, ImageOps

from benchmarks.fashion import CLASSES, read_fashion

_SIZES = ((480, 360), (360, 480), (420, 420))
_SIDES = (32, 120)
_MOST_OBJECTS = 8
# Boxes of which more than this overlaps with others are drawn anew.
_OVERLAP = 0.2
_VISIBLE = 24


def write_scenes(folder: Path, count: int, *, part: str = "train", seed: int = 0) -> Path:
    """Write scenes and COCO's JSON of them, and return the path of the latter.

    Each scene has 1 to 8 objects of ten classes, of different sizes, mirrored or not, tinted.

    Args:
        folder: Where to write.
        count: How many scenes.
        part: "train" or "t10k", the part of Fashion-MNIST whose pictures are used.
        seed: The seed of everything random.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    pictures, labels = read_fashion(part)
    backgrounds = sorted((Path(elpv_dataset.__file__).parent / "data/images").iterdir())
    draw = np.random.default_rng([seed, len(part)])
    images, annotations = [], []
    for number in range(count):
        name = f"{part}-{number:05d}.jpg"
        background = backgrounds[int(draw.integers(len(backgrounds)))]
        scene, boxes = _scene(background, pictures, labels, draw)
        scene.save(folder / "images" / name, quality=90)
        images.append(
            {"id": number, "file_name": name, "width": scene.width, "height": scene.height}
        )
        for label, (x1, y1, x2, y2) in boxes:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": label + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, 1)]
    path = folder / f"{part}.json"
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return path


def _scene(
    background: Path,
    pictures: np.ndarray,
    labels: np.ndarray,
    draw: np.random.Generator,
) -> tuple[Image.Image, list[tuple[int, tuple[int, int, int, int]]]]:
    width, height = _SIZES[int(draw.integers(len(_SIZES)))]
    with Image.open(background) as cell:
        scene = ImageOps.fit(cell.convert("RGB"), (width, height))
    boxes: list[tuple[int, tuple[int, int, int, int]]] = []
    for _ in range(int(draw.integers(1, _MOST_OBJECTS + 1))):
        for _ in range(10):
            chosen = int(draw.integers(len(pictures)))
            mask = _object(pictures[chosen], draw)
            if mask is None:
                continue
            x, y = (
                int(draw.integers(0, max(1, whole - side)))
                for whole, side in zip((width, height), mask.size, strict=True)
            )
            box = (x, y, x + mask.width, y + mask.height)
            if any(_shared(box, other) > _OVERLAP for _, other in boxes):
                continue
            colour = tuple(int(value) for value in draw.integers(60, 256, 3))
            scene.paste(ImageOps.colorize(mask, (10, 10, 10), colour), box[:2], _opaque(mask))
            boxes.append((int(labels[chosen]), box))
            break
    return scene, boxes


def _object(pixels: np.ndarray, draw: np.random.Generator) -> Image.Image | None:
    """Return a picture without its empty margin, of a random size and perhaps mirrored."""
    picture = Image.fromarray(pixels)
    edges = picture.point(lambda value: 255 if value > _VISIBLE else 0).getbbox()
    if edges is None:
        return None
    picture = picture.crop(edges)
    scale = float(np.exp(draw.uniform(*np.log(_SIDES)))) / max(picture.size)
    size = tuple(max(4, round(side * scale)) for side in picture.size)
    picture = picture.resize((size[0], size[1]), Image.Resampling.BICUBIC)
    return ImageOps.mirror(picture) if draw.random() < 0.5 else picture


def _opaque(mask: Image.Image) -> Image.Image:
    """Return where an object hides the background."""
    return mask.point(lambda value: 255 if value > _VISIBLE else 0)


def _shared(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> float:
    """Return the intersection over the smaller of two areas."""
    across = min(first[2], second[2]) - max(first[0], second[0])
    down = min(first[3], second[3]) - max(first[1], second[1])
    areas = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (first, second)]
    return max(0, across) * max(0, down) / min(areas)
