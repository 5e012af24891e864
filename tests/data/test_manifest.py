"""The manifest joins the rows of a source with the properties of their files."""

import pytest

from headstart.data.manifest import (
    SCHEMA,
    Entry,
    FileInfo,
    build_manifest,
    rejected,
    usable,
    with_column,
)

ENTRIES = [
    Entry("a/1.png", "/d/a/1.png", "a", "train", "p1"),
    Entry("b/2.png", "/d/b/2.png", "b", rejected="its name is bad"),
    Entry("b/3.png", "/d/b/3.png", "b"),
]
FILE_INFOS = [
    FileInfo("12", "34", 5, 6, "RGB"),
    FileInfo(rejected="never read"),
    FileInfo(rejected="the file is empty"),
]


def test_entries_and_file_infos_are_joined() -> None:
    """Each row has the values of the source and of the file."""
    manifest = build_manifest(ENTRIES, FILE_INFOS)
    assert manifest.schema.equals(SCHEMA)
    assert manifest.slice(0, 1).to_pylist() == [
        {
            "image": "a/1.png",
            "path": "/d/a/1.png",
            "label": "a",
            "split": "train",
            "group": "p1",
            "sha256": "12",
            "perceptual_hash": "34",
            "width": 5,
            "height": 6,
            "mode": "RGB",
            "has_more": None,
            "repaired": None,
            "blank_on": None,
            "rejected": None,
            "slices": None,
            "guessed_group": None,
            "window": None,
            "frames": None,
        }
    ]


def test_the_source_s_reason_comes_first() -> None:
    """An invalid row keeps the source's reason; other rows have the file's."""
    manifest = build_manifest(ENTRIES, FILE_INFOS)
    assert manifest["rejected"].to_pylist() == [None, "its name is bad", "the file is empty"]


def test_every_row_is_either_usable_or_rejected() -> None:
    """No row is lost."""
    manifest = build_manifest(ENTRIES, FILE_INFOS)
    assert usable(manifest)["image"].to_pylist() == ["a/1.png"]
    assert rejected(manifest)["image"].to_pylist() == ["b/2.png", "b/3.png"]


def test_entries_without_file_infos_are_an_error() -> None:
    """A row cannot be included without its file being read."""
    with pytest.raises(ValueError, match="shorter"):
        build_manifest(ENTRIES, FILE_INFOS[:2])


def test_with_column_replaces_only_one_column() -> None:
    """The old manifest and the other columns are unchanged."""
    manifest = build_manifest(ENTRIES, FILE_INFOS)
    changed = with_column(manifest, "split", ["test", None, "train"])
    assert changed["split"].to_pylist() == ["test", None, "train"]
    assert manifest["split"].to_pylist() == ["train", None, None]
    assert changed.drop_columns("split").equals(manifest.drop_columns("split"))
    assert changed.schema.equals(SCHEMA)


def test_an_empty_manifest_has_the_schema() -> None:
    """Without rows, all columns are still there."""
    assert build_manifest([], []).schema.equals(SCHEMA)
