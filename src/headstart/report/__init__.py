"""The report: a record in, one self-contained HTML page out."""

from headstart.report.page import (
    PicturedMistake,
    render_evaluation,
    render_recommendation,
    render_report,
)

__all__ = ["PicturedMistake", "render_evaluation", "render_recommendation", "render_report"]
