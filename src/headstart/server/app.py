"""The application: its routes, what every request passes, and what runs beside them."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline
from threadpoolctl import threadpool_limits

from headstart.commands.gallery_pictures import EnrolledPictures
from headstart.errors import ServerError
from headstart.galleries.layout import is_gallery
from headstart.options import DecodeLimits
from headstart.predictor.detector import Detector
from headstart.runs.answer_log import AnswerLog
from headstart.server import enrolment, operations, page, prediction, searching, v2
from headstart.server.admission import Admission
from headstart.server.answerer import ModelAnswerer
from headstart.server.answering import AnyServed, Served
from headstart.server.boxes import BoxAnswerer
from headstart.server.decoders import Decoders
from headstart.server.errors import handle_errors
from headstart.server.gallery import GalleryAnswerer
from headstart.server.gate import LOOPBACK, Access, Busy, Observed
from headstart.server.label_studio import routes as label_studio
from headstart.server.label_studio.backend import Backend
from headstart.server.labels import LabelAnswerer
from headstart.server.metrics import Metrics
from headstart.server.models import Models, Place
from headstart.server.refusals import RESPONSES
from headstart.server.state import State
from headstart.serving_options import ServeOptions
from headstart.tasks.loading import AnyModel, model_of, read_model

log = logging.getLogger("headstart.server")

# The bodies of all requests together, in bodies of the largest size.
_BODIES = 4
_LOG_SECONDS = 30.0
_NICE = 5


def create_app(places: tuple[Place, ...], options: ServeOptions, key: str | None = None) -> FastAPI:
    """Return the application that serves models and galleries.

    Args:
        places: Where they are.
        options: The options.
        key: The key that clients must send; None if everyone may ask.
    """
    origins = options.origins
    state = _state(places, options, may_change=key is not None)
    backend = Backend(places[0], options) if options.label_studio else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if not state.models.all:
            await asyncio.to_thread(state.models.load_all)
        # More threads would only get in each other's way, as each image has one already.
        limited = threadpool_limits(1, user_api="blas")
        beside = [asyncio.create_task(state.models.watch())]
        if state.log:
            beside.append(asyncio.create_task(_write_log(state.log)))
        try:
            with backend or nullcontext():
                yield
        finally:
            for task in beside:
                task.cancel()
            if state.log:
                await asyncio.to_thread(_write, state.log)
            limited.restore_original_limits()
            for model in state.models.all.values():
                model.retire()

    app = FastAPIOffline(
        title="Headstart",
        summary="Classify images, find objects in them, and search galleries, with Headstart.",
        version=version("headstart"),
        lifespan=lifespan,
    )
    app.state.headstart, app.state.label_studio = state, backend
    if backend:  # Before the route of the same name.
        app.include_router(label_studio.router, responses=RESPONSES)
    routed = (prediction, searching, enrolment, operations, v2, page)
    for router in (one.router for one in routed):
        app.include_router(router, responses=RESPONSES)
    handle_errors(app)
    # The last one that is added sees a request first.
    app.add_middleware(Busy, admission=state.admission)
    app.add_middleware(Access, key=key, origins=origins, local=options.host in LOOPBACK)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key"],
            expose_headers=["Retry-After", "X-Model-Version", "X-Request-ID"],
        )
    app.add_middleware(Observed, metrics=state.metrics)
    return app


async def _write_log(answers: AnswerLog) -> None:
    """Write the log of predictions now and then, as long as the server runs."""
    written = time.monotonic()
    while True:
        await asyncio.sleep(1)
        if answers.is_long or time.monotonic() - written > _LOG_SECONDS:
            await asyncio.to_thread(_write, answers)
            written = time.monotonic()


def _write(answers: AnswerLog) -> None:
    try:
        answers.write()
    except Exception as error:  # Whatever is wrong with the log, answers go on.
        log.error(str(error))


def _state(places: tuple[Place, ...], options: ServeOptions, *, may_change: bool) -> State:
    metrics = Metrics()
    admission = Admission(
        options.max_waiting, _BODIES * options.max_request_mb * 1_000_000, metrics.waiting.set
    )
    decoders = Decoders(DecodeLimits(max_pixels=options.max_pixels))

    def measure(inputs: int, answered: int, seconds: float) -> None:
        metrics.batch(inputs, seconds)
        admission.learn(answered, seconds)

    def load(name: str, path: str) -> AnyServed:
        # The threads of an engine inherit the priority of the thread that makes it.
        with ThreadPoolExecutor(1, initializer=_yield_to_requests) as thread:
            return thread.submit(make, name, path).result()

    def make(name: str, path: str) -> AnyServed:
        answerer, known, card = _read(path, options)
        made: AnyServed = Served(
            name, answerer, version=known, card=card, decoders=decoders, measure=measure
        )
        made.start()
        return made

    return State(
        options,
        Models(places, load, log),
        admission,
        metrics,
        ThreadPoolExecutor(1, "explain"),
        ThreadPoolExecutor(1, "change"),
        may_change,
        AnswerLog.at(options.log, features=options.log_features) if options.log else None,
        EnrolledPictures(options.pictures) if options.pictures else None,
    )


def _read(path: str, options: ServeOptions) -> tuple[ModelAnswerer | GalleryAnswerer, str, str]:
    """Read a model or a gallery.

    Returns:
        What answers, its version, and its card.
    """
    if is_gallery(Path(path)):
        from headstart.commands.embedding import open_gallery  # It needs PyTorch, a slow import.

        _check_options(path, options, "a gallery")
        gallery = GalleryAnswerer(open_gallery(path, options))
        return gallery, gallery.version, gallery.store.card
    bundle = read_model(path)
    answerer = _answerer(model_of(bundle, path, options), path, options)
    return answerer, bundle.version, bundle.card


def _answerer(model: AnyModel, path: str, options: ServeOptions) -> ModelAnswerer:
    """Return how a model answers.

    Raises:
        ServerError: An option of the server is not for detectors.
    """
    if not isinstance(model, Detector):
        return LabelAnswerer(model)
    _check_options(path, options, "a detector of boxes")
    return BoxAnswerer(model)


def _check_options(path: str, options: ServeOptions, what: str) -> None:
    """Check that no option is given that is only for classifiers.

    Raises:
        ServerError: One is.
    """
    for given, reason in (
        (options.label_studio, "--label-studio proposes labels of whole images"),
        (options.log_features, "--log-features logs the features of classifiers"),
    ):
        if given:
            raise ServerError(f"{reason}, but '{path}' is {what}. Serve it without this option.")


def _yield_to_requests() -> None:
    """Let the thread that receives requests run first, so that it answers while cores are busy."""
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
