"""One image with several labels from several rows of a table, or from copies in several folders."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from headstart.data.labels import read_labels, write_labels
from headstart.data.manifest import Entry, with_column


def merge_rows(entries: Sequence[Entry]) -> list[Entry]:
    """Merge the rows of each image of a long table, which has a row for each label.

    Rows that are rejected stay as they are. If the rows of an image disagree about its part of the
    split, its group or its slices, the image is rejected.
    """
    rows: dict[str, list[Entry]] = defaultdict(list)
    for number, entry in enumerate(entries):
        rows[str(number) if entry.rejected else f"path {entry.path}"].append(entry)
    return [_merged(same) for same in rows.values()]


def _merged(rows: Sequence[Entry]) -> Entry:
    first = rows[0]
    if len(rows) == 1:
        return first
    values = {
        "parts of the split": {row.split for row in rows},
        "groups": {row.group for row in rows},
        "slices": {row.slices for row in rows},
    }
    if what := next((what for what, found in values.items() if len(found) > 1), None):
        return replace(first, rejected=f"its rows are in different {what}")
    return replace(first, label=_union(row.label or "{}" for row in rows))


def share_labels(manifest: pa.Table) -> pa.Table:
    """Return a manifest in which every copy of an image has the labels of all copies."""
    rows = manifest.select(["sha256", "label", "rejected"]).to_pylist()
    labels: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row["rejected"] is None:
            labels[row["sha256"]].append(row["label"])
    shared = {sha256: _union(texts) for sha256, texts in labels.items()}
    texts = [row["label"] if row["rejected"] else shared[row["sha256"]] for row in rows]
    return with_column(manifest, "label", texts)


def drop_copies(manifest: pa.Table) -> pa.Table:
    """Return a manifest with one row for each image in each part of a given split."""
    seen: set[tuple[str, str | None]] = set()
    kept = []
    for number, row in enumerate(manifest.select(["sha256", "split", "rejected"]).to_pylist()):
        key = (row["sha256"], row["split"])
        if row["rejected"] is not None or key not in seen:
            kept.append(number)
        if row["rejected"] is None:
            seen.add(key)
    return manifest.take(pa.array(np.array(kept, dtype=np.int64)))


def _union(texts: Iterable[str]) -> str:
    """Return the labels that are present in any of several texts."""
    names = [name for text in texts for name, value in read_labels(text).items() if value]
    return write_labels(dict.fromkeys(names, True))
