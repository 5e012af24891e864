"""Checks of every file: unreadable files, duplicates and conflicts are found, no row is lost."""

import hashlib
from pathlib import Path

import pytest
from PIL import Image

from headstart.data.checks import Scan, scan
from headstart.data.manifest import SCHEMA, Entry
from headstart.options import DecodeLimits
from tests.conftest import TASK, picture


def saved(path: Path, seed: int, **options) -> Path:
    """Save the picture of a seed."""
    picture(seed, side=128).save(path, **options)
    return path


def entry(path: Path, label: str = "a", group: str | None = None) -> Entry:
    """Create an entry that is named after its file."""
    return Entry(path.name, str(path), label, group=group)


def scanned(entries: list[Entry], **options) -> Scan:
    """Scan entries with one label per image."""
    return scan(entries, task=TASK, **options)


def rejections(entries: list[Entry], limits: DecodeLimits | None = None) -> list[str | None]:
    """Return why each entry is rejected."""
    return scanned(entries, limits=limits).manifest["rejected"].to_pylist()


def groups(entries: list[Entry]) -> list[str | None]:
    """Return each entry's group."""
    return scanned(entries).manifest["group"].to_pylist()


def test_properties_of_a_valid_file(tmp_path: Path) -> None:
    """The manifest has the file's hash, stored size and mode."""
    path = tmp_path / "x.png"
    picture(1).convert("L").resize((30, 20)).save(path)
    found = scanned([entry(path)])
    assert found.manifest.schema.equals(SCHEMA)
    row = found.manifest.to_pylist()[0]
    assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (row["width"], row["height"], row["mode"]) == (30, 20, "L")
    assert row["rejected"] is None
    assert found.duplicates == 0


def test_bad_files_are_rejected_and_no_row_is_lost(tmp_path: Path) -> None:
    """Each bad file has its own reason, and rows keep their order."""
    good, more = saved(tmp_path / "good.png", 1), saved(tmp_path / "more.jpg", 2)
    (text := tmp_path / "text.jpg").write_text("not a picture")
    (empty := tmp_path / "empty.png").touch()
    (folder := tmp_path / "folder.jpg").mkdir()
    (half := tmp_path / "half.jpg").write_bytes(more.read_bytes()[: more.stat().st_size // 2])
    refused = Entry("r", "r", rejected="its label is missing")
    entries = [entry(good), entry(text), entry(empty), entry(folder), entry(half), refused]
    entries += [entry(tmp_path / "gone.png"), entry(more)]
    found = scanned(entries)
    assert found.manifest["image"].to_pylist() == [item.image for item in entries]
    reasons = found.manifest["rejected"].to_pylist()
    assert reasons[4].startswith("it is damaged (image file is truncated")
    assert reasons[:4] + reasons[5:] == [
        None,
        "it is not an image of a known format",
        "the file is empty",
        "it is a folder",
        "its label is missing",
        "the file does not exist",
        None,
    ]


def test_files_over_a_limit_are_rejected(tmp_path: Path) -> None:
    """The reason names the limit on bytes or pixels."""
    path = saved(tmp_path / "x.png", 1)
    size = path.stat().st_size
    assert rejections([entry(path)], DecodeLimits(max_pixels=100)) == [
        "it has 16,384 pixels (128 x 128), more than the limit of 100"
    ]
    assert rejections([entry(path)], DecodeLimits(max_bytes=10)) == [
        f"it has {size:,} bytes; the limit is 10"
    ]


def test_files_without_read_permission_are_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is rejected, and the others are used."""
    good, secret = saved(tmp_path / "good.png", 1), saved(tmp_path / "secret.png", 2)
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path == secret:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert rejections([entry(good), entry(secret)]) == [None, "permission denied"]


def test_copies_with_different_labels_are_a_conflict(tmp_path: Path) -> None:
    """All copies are rejected, and the reason names both labels."""
    first, other = saved(tmp_path / "1.png", 1), saved(tmp_path / "3.png", 3)
    (second := tmp_path / "2.png").write_bytes(first.read_bytes())
    found = scanned([entry(first, "dog"), entry(second, "cat"), entry(other, "cat")])
    reason = "copies of the image have different labels: cat and dog"
    assert found.manifest["rejected"].to_pylist() == [reason, reason, None]
    assert found.manifest["group"].to_pylist()[:2] == [None, None]


def test_exact_copies_with_the_same_label_share_a_group(tmp_path: Path) -> None:
    """Copies are kept, counted and grouped."""
    first, other = saved(tmp_path / "1.png", 1), saved(tmp_path / "3.png", 3)
    (second := tmp_path / "2.png").write_bytes(first.read_bytes())
    found = scanned([entry(first), entry(second), entry(other)])
    names = found.manifest["group"].to_pylist()
    assert names[0] == names[1] != names[2]
    assert found.duplicates == 1


def test_near_duplicates_share_a_group_even_across_labels(tmp_path: Path) -> None:
    """A re-encoded and a half-size copy are grouped with the original, whatever their labels."""
    original = saved(tmp_path / "1.png", 1)
    encoded = saved(tmp_path / "2.jpg", 1, quality=75)
    half = tmp_path / "3.png"
    picture(1, side=128).resize((64, 64), Image.Resampling.LANCZOS).save(half)
    other = saved(tmp_path / "4.png", 4)
    found = scanned([entry(original), entry(encoded, "b"), entry(half), entry(other)])
    names = found.manifest["group"].to_pylist()
    assert names[0] == names[1] == names[2] != names[3]
    assert found.manifest["rejected"].null_count == 4
    assert found.duplicates == 2


def test_the_user_s_groups_are_kept_together(tmp_path: Path) -> None:
    """Different images may share a group; they do not count as duplicates."""
    paths = [saved(tmp_path / f"{seed}.png", seed) for seed in range(4)]
    marks = ["p1", "p2", "p1", None]
    entries = [entry(path, group=mark) for path, mark in zip(paths, marks, strict=True)]
    names = groups(entries)
    assert names[0] == names[2]
    assert len(set(names)) == 3
    assert scanned(entries).duplicates == 0


def test_groups_with_a_common_image_are_merged(tmp_path: Path) -> None:
    """If two of the user's groups contain copies of the same image, they become one group."""
    a, b, c = (saved(tmp_path / f"{seed}.png", seed) for seed in (1, 2, 3))
    (copy := tmp_path / "copy.png").write_bytes(a.read_bytes())
    names = groups([entry(a, group="p1"), entry(copy, group="p2"), entry(b, group="p2"), entry(c)])
    assert names[0] == names[1] == names[2] != names[3]


def test_a_group_s_name_depends_on_content_alone(tmp_path: Path) -> None:
    """The order, names and folders of the files do not change a group's name."""
    (tmp_path / "other").mkdir()
    first = [saved(tmp_path / f"{seed}.png", seed) for seed in range(3)]
    second = [saved(tmp_path / "other" / f"x{seed}.png", seed) for seed in (2, 1, 0)]
    assert groups([entry(path) for path in first]) == groups([entry(path) for path in second])[::-1]


def test_rejected_images_have_no_group(tmp_path: Path) -> None:
    """A rejected image is not part of any group."""
    assert groups([entry(tmp_path / "gone.png"), entry(saved(tmp_path / "a.png", 1))])[0] is None


def test_progress_is_reported_after_each_image(tmp_path: Path) -> None:
    """Rejected files count too."""
    calls: list[tuple[int, int]] = []
    entries = [entry(tmp_path / "gone.png"), entry(saved(tmp_path / "a.png", 1))]
    scanned(entries, progress=lambda done, count: calls.append((done, count)))
    assert calls == [(1, 2), (2, 2)]


def test_no_entries_give_an_empty_manifest() -> None:
    """Without entries, the manifest is empty and there are no duplicates."""
    found = scanned([])
    assert found.manifest.num_rows == 0
    assert found.duplicates == 0
