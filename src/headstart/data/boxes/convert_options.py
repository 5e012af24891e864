"""The options of `convert`."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from headstart.options import CacheOptions, LenientPath, Panel

BoxFormat = Literal["coco", "yolo", "csv"]
"""The formats in which boxes are written."""


class ConvertOptions(CacheOptions):
    """Options of `convert`."""

    panel = Panel.OUTPUT

    format: BoxFormat = Field(
        "coco",
        description="Format of the boxes: COCO's JSON, YOLO's label files, or a CSV file with a "
        "row for each box.",
    )
    out: LenientPath = Field(Path("converted"), description="Folder to create.")
