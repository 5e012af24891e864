"""What the routes of one server share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

from fastapi import Request

from headstart.commands.gallery_pictures import EnrolledPictures
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
        changes: The thread that changes galleries.
        may_change: Whether clients may change galleries, because they have to send a key.
        log: The log of predictions; None without one.
        pictures: The pictures of enrolled images; None without any.
    """

    options: ServeOptions
    models: Models
    admission: Admission
    metrics: Metrics
    explainers: ThreadPoolExecutor
    changes: ThreadPoolExecutor
    may_change: bool
    log: AnswerLog | None = None
    pictures: EnrolledPictures | None = None


def state_of(request: Request) -> State:
    """Return the state of the server that received a request."""
    return cast(State, request.app.state.headstart)
