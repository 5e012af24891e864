"""The table of a gallery in Lance."""

from pathlib import Path

import numpy as np
import pytest

from headstart.errors import HeadstartWarning
from headstart.galleries import table as tables
from headstart.galleries.table import Enrolled, GalleryTable

WIDTH = 16


def made(count: int, seed: int = 0) -> Enrolled:
    draw = np.random.default_rng(seed)
    points = draw.normal(size=(count, WIDTH)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    names = [f"{seed}-{number}" for number in range(count)]
    return Enrolled(
        [f"{name}.jpg" for name in names],
        [f"sha-{name}" for name in names],
        [f"item {number % 7}" for number in range(count)],
        [f"group {number}" for number in range(count)],
        [{"price": str(number)} for number in range(count)],
        points,
    )


def holds(folder: Path, point: np.ndarray) -> bool:
    """Return whether the bytes of an embedding are in any file, in single or half precision."""
    patterns = [point[:4].astype(kind).tobytes() for kind in ("float32", "float16")]
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return any(pattern in data for pattern in patterns for data in files)


@pytest.fixture
def table(tmp_path: Path) -> GalleryTable:
    return GalleryTable.create(tmp_path / "images.lance", WIDTH)


def test_the_nearest_images_are_found(table: GalleryTable) -> None:
    """With their columns, in the order of their distance."""
    first, second = made(30), made(20, seed=1)
    table.append(first)
    table.append(second)
    points = np.concatenate([first.points, second.points])
    rows, distances = table.nearest(second.points[3], 5)
    expected = np.sort(1 - points @ second.points[3])[:5]
    assert distances == pytest.approx(expected, abs=1e-6)
    assert (rows[0].image, rows[0].label, rows[0].fields) == ("1-3.jpg", "item 3", {"price": "3"})
    assert len(table) == len(table.rows()) == 50


def test_more_than_all_are_all(table: GalleryTable) -> None:
    table.append(made(3))
    rows, distances = table.nearest(made(3).points[0], 10)
    assert len(rows) == len(distances) == 3


def test_removed_images_leave_no_embedding(table: GalleryTable) -> None:
    """In no file, of no version."""
    enrolled = made(40)
    table.append(enrolled)
    table.append(made(5, seed=1))
    gone, kept = enrolled.points[11], enrolled.points[12]
    assert holds(table.path, gone) and holds(table.path, kept)
    table.remove(["sha-0-11"])
    assert not holds(table.path, gone)
    assert holds(table.path, kept)
    assert len(table) == 44
    assert "0-11.jpg" not in {row.image for row in table.rows()}


def test_many_images_are_found_by_an_index(
    table: GalleryTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that were added after it was made; none that were removed are in it."""
    monkeypatch.setattr(tables, "EXACT", 500)
    monkeypatch.setattr(tables, "_CELL", 50)
    enrolled, later = made(600), made(3, seed=1)
    table.append(enrolled)
    assert table.has_index
    table.append(later)
    assert table.nearest(later.points[1], 1)[0][0].image == "1-1.jpg"
    right = 0
    for number in range(0, 600, 20):
        rows, distances = table.nearest(enrolled.points[number], 10)
        exact = np.sort(1 - enrolled.points @ enrolled.points[number])[:10]
        right += int((distances <= exact[-1] + 1e-5).sum())
        assert rows[0].image == f"0-{number}.jpg"
        assert distances[0] == pytest.approx(0, abs=1e-5)
    assert right >= 0.95 * 300
    table.remove(["sha-0-40"])
    assert table.has_index
    assert not holds(table.path, enrolled.points[40])
    assert table.nearest(enrolled.points[40], 1)[0][0].image != "0-40.jpg"


@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_a_damaged_index_is_made_again(
    damage: str, table: GalleryTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that is said; images outside it are added once there are many."""
    monkeypatch.setattr(tables, "EXACT", 500)
    monkeypatch.setattr(tables, "_CELL", 50)
    monkeypatch.setattr(tables, "_OUTSIDE", 20)
    enrolled = made(600)
    table.append(enrolled)
    table.append(made(30, seed=1))
    for file in table.path.glob("_indices/*/*"):
        if damage == "cut":
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        else:
            file.unlink()
    again = GalleryTable(table.path)
    with pytest.warns(HeadstartWarning, match="is damaged; it is made again"):
        rows, _ = again.nearest(enrolled.points[7], 1)
    assert rows[0].image == "0-7.jpg" and again.has_index
    assert again.nearest(made(30, seed=1).points[2], 1)[0][0].image == "1-2.jpg"


def test_removing_all_leaves_an_empty_table(table: GalleryTable) -> None:
    """To which images can be added."""
    enrolled = made(4)
    table.append(enrolled)
    table.remove(list(enrolled.sha256s))
    assert len(table) == 0 and table.rows() == []
    assert not any(holds(table.path, point) for point in enrolled.points)
    table.append(made(2, seed=2))
    assert table.nearest(made(2, seed=2).points[1], 1)[0][0].image == "2-1.jpg"
