"""What the routes of one server share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

from fastapi import Request

from headstart.runs.answer_log import AnswerLog
from headstart.server.admission import Admission
from headstart.server.metrics import Metrics
from headstart.server.models import Models
from headstart.serving_options import ServeOptions


@dataclass(frozen=True, eq=False)
class State:
    """What the routes of one server share.

    Attributes:
        options: The options of the server.
        models: Its models.
        admission: Bounds what is in progress.
        metrics: Counts what was done.
        explainers: The thread that draws heat maps.
        log: The log of predictions; None without one.
    """

    options: ServeOptions
    models: Models
    admission: Admission
    metrics: Metrics
    explainers: ThreadPoolExecutor
    log: AnswerLog | None = None


def state_of(request: Request) -> State:
    """Return the state of the server that received a request."""
    return cast(State, request.app.state.headstart)
