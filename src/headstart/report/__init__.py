"""The report: a record in, one self-contained HTML page out."""

from headstart.report.page import (
    Neighbour,
    PicturedMistake,
    render_evaluation,
    render_recommendation,
    render_report,
)
from headstart.report.test_images import TestImages

__all__ = [
    "Neighbour",
    "PicturedMistake",
    "TestImages",
    "render_evaluation",
    "render_recommendation",
    "render_report",
]
