"""The manifest: what the source says joined with what the files say."""

import pytest

from headstart.data.manifest import (
    SCHEMA,
    Entry,
    Facts,
    manifest_of,
    rejected,
    usable,
    with_column,
)

ENTRIES = [
    Entry("a/1.png", "/d/a/1.png", "a", "train", "p1"),
    Entry("b/2.png", "/d/b/2.png", "b", rejected="its name is bad"),
    Entry("b/3.png", "/d/b/3.png", "b"),
]
FACTS = [
    Facts("12", "34", 5, 6, "RGB"),
    Facts(rejected="never looked at"),
    Facts(rejected="the file is empty"),
]


def test_entries_and_facts_are_joined() -> None:
    """Each row has what the source and what the file says."""
    manifest = manifest_of(ENTRIES, FACTS)
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
            "rejected": None,
        }
    ]


def test_the_source_s_reason_comes_first() -> None:
    """A row that the source refuses keeps that reason; others get the file's."""
    manifest = manifest_of(ENTRIES, FACTS)
    assert manifest["rejected"].to_pylist() == [None, "its name is bad", "the file is empty"]


def test_every_row_is_either_usable_or_rejected() -> None:
    """Nothing is lost between the two."""
    manifest = manifest_of(ENTRIES, FACTS)
    assert usable(manifest)["image"].to_pylist() == ["a/1.png"]
    assert rejected(manifest)["image"].to_pylist() == ["b/2.png", "b/3.png"]


def test_entries_without_facts_are_an_error() -> None:
    """A row that nobody looked into cannot slip in."""
    with pytest.raises(ValueError, match="shorter"):
        manifest_of(ENTRIES, FACTS[:2])


def test_with_column_replaces_one_column_alone() -> None:
    """The old manifest and the other columns stay as they were."""
    manifest = manifest_of(ENTRIES, FACTS)
    changed = with_column(manifest, "split", ["test", None, "train"])
    assert changed["split"].to_pylist() == ["test", None, "train"]
    assert manifest["split"].to_pylist() == ["train", None, None]
    assert changed.drop_columns("split").equals(manifest.drop_columns("split"))
    assert changed.schema.equals(SCHEMA)


def test_no_rows_still_have_the_schema() -> None:
    """An empty manifest has every column."""
    assert manifest_of([], []).schema.equals(SCHEMA)
