"""The images that a run was trained on."""

from pathlib import Path

import pyarrow.parquet as pq

MANIFEST = "manifest.parquet"


def training_images(run: Path) -> set[str]:
    """Return the sha256 of each training image of a run; a bundle without a run has none."""
    path = run / MANIFEST
    if not path.is_file():
        return set()
    rows = pq.read_table(path, columns=["sha256", "split", "rejected"]).to_pylist()
    return {row["sha256"] for row in rows if row["split"] == "train" and row["rejected"] is None}
