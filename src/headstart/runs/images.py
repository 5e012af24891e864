"""The images that a run was trained and validated on."""

from pathlib import Path

import pyarrow.parquet as pq

MANIFEST = "manifest.parquet"


def images_of_part(run: Path, part: str) -> set[str]:
    """Return the sha256 of each image in the part "train" or "val" of a run.

    A bundle without a run has none.
    """
    path = run / MANIFEST
    if not path.is_file():
        return set()
    rows = pq.read_table(path, columns=["sha256", "split", "rejected"]).to_pylist()
    return {row["sha256"] for row in rows if row["split"] == part and row["rejected"] is None}
