"""One image from several rows or copies."""

import pyarrow as pa

from headstart.data.manifest import Entry, FileInfo, build_manifest
from headstart.data.merging import drop_copies, merge_rows, share_labels


def manifest(*rows: tuple[str, str, str, str | None]) -> pa.Table:
    """Create a manifest from the name of each image, its hash, its label and its part."""
    entries = [Entry(name, name, f'{{"{label}":1}}', split) for name, _, label, split in rows]
    entries.append(Entry("bad", "bad", '{"z":1}', rejected="bad"))
    return build_manifest(entries, [*(FileInfo(sha256) for _, sha256, _, _ in rows), FileInfo("x")])


def test_copies_share_their_labels() -> None:
    """Each has those of all; rejected images keep and give none."""
    table = share_labels(
        manifest(("1", "x", "b", None), ("2", "y", "c", None), ("3", "x", "a", None))
    )
    assert table["label"].to_pylist() == [
        *('{"a":1,"b":1}', '{"c":1}', '{"a":1,"b":1}', '{"z":1}'),
    ]


def test_one_copy_remains_in_each_part() -> None:
    """The first; rejected images remain."""
    table = drop_copies(
        manifest(("1", "x", "a", "train"), ("2", "x", "a", "test"), ("3", "x", "a", "train"))
    )
    assert table["image"].to_pylist() == ["1", "2", "bad"]


def test_rows_keep_their_order_and_other_columns() -> None:
    """The first row of an image stands for all; a rejected row is not merged."""
    rows = [
        Entry("a", "/a", '{"x":1}', "train", "g"),
        Entry("b", "/b", '{"x":0,"y":1}'),
        Entry("a", "/a", '{"y":1}', "train", "g"),
        Entry("a", "/a", rejected="its label 7 is not one of the table's classes"),
    ]
    merged = merge_rows(rows)
    assert merged == [Entry("a", "/a", '{"x":1,"y":1}', "train", "g"), rows[1], rows[3]]
