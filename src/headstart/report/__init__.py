"""Results in, one self-contained HTML page out."""

from headstart.report.page import Mistake, render_recommendation, render_report

__all__ = ["Mistake", "render_recommendation", "render_report"]
