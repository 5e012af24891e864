"""The state of the studio as JSON, as its page receives it."""

from __future__ import annotations

from pydantic import JsonValue

from headstart.server.studio.jobs import JobState
from headstart.server.studio.learner import Learnt
from headstart.studio.labels import Item
from headstart.studio.studying import Study

_HARDLY = 0.005
"""A gain of accuracy that is not worth labelling twice as many images."""


def item_json(item: Item | None) -> JsonValue:
    """Return an image; None if it is not there."""
    if item is None:
        return None
    return {
        "labels": None if item.labels is None else list(item.labels),
        "boxes": [vars(box) for box in item.boxes],
        "group": item.group,
        "dropped": item.dropped,
        "kept": item.kept,
        "kept_copy": item.kept_copy,
    }


def learnt_json(learnt: Learnt) -> dict[str, JsonValue]:
    """Return what was learnt from the labels."""
    probe = learnt.probe
    return {
        "lesson": learnt.lesson,
        "version": learnt.version,
        "why_not": learnt.why_not,
        "images": len(probe.train) if probe else 0,
        "tested": probe.tested if probe else 0,
        "verdict": probe.verdict if probe else "",
        "score": probe.score if probe else None,
        "next": list(learnt.suggestions.next),
        "alike": [list(names) for names in learnt.suggestions.alike],
        "duplicates": [list(names) for names in learnt.duplicates],
        "guesses": {
            name: [list(guess.labels), round(guess.probability, 4)]
            for name, guess in (probe.guesses if probe else {}).items()
        },
        "doubts": [vars(doubt) for doubt in probe.doubts] if probe else [],
    }


def study_json(study: Study | None) -> JsonValue:
    """Return what the full head has learnt."""
    if study is None:
        return None
    return {
        "lesson": study.lesson,
        "verdict": study.verdict,
        "advice": _advice(study),
        "points": [[p.images, p.accuracy, p.low, p.high] for p in study.curve.points],
        "forecasts": [[f.images, f.accuracy, f.low, f.high] for f in study.curve.forecasts],
    }


def job_json(job: JobState) -> JsonValue:
    """Return the work that is going on, or was done last."""
    return {**vars(job), "warnings": list(job.warnings)}


def _advice(study: Study) -> str:
    """Return what to expect of more images, and of which class."""
    curve = study.curve
    if curve.forecasts and curve.forecasts[0].accuracy - curve.points[-1].accuracy < _HARDLY:
        return "Twice as many images of the same kind would hardly help."
    if study.more is None:
        return curve.sentence
    count, name = study.more
    return f"{curve.sentence} {count:,} more images of '{name}' would be twice as many of these."
