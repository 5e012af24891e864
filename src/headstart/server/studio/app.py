"""The application of the studio, and how it is run."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.responses import Response

from headstart.backbones.backbone import load_backbone
from headstart.cache import cache_folder, store_url
from headstart.features.extractor import FeatureExtractor
from headstart.options import TrainOptions
from headstart.server import page as shared
from headstart.server.errors import handle_errors
from headstart.server.gate import Access, Observed
from headstart.server.metrics import Metrics
from headstart.server.running import listen, server_config
from headstart.server.studio import routes
from headstart.server.studio.live import Live
from headstart.server.studio.token import Token
from headstart.serving_options import StudioOptions
from headstart.studio.project import Project
from headstart.studio.workbench import Workbench

_FOLDER = Path(__file__).parent / "page"
_TRAINING = ("backbone", "weights", "cache", "device", "precision", "deterministic")
_PAGE, _FILES = (_FOLDER / "index.html").read_bytes(), shared.read_files(_FOLDER)

_pages = APIRouter(include_in_schema=False)


@_pages.get("/")
async def page() -> Response:
    """Return the page."""
    return Response(_PAGE, media_type="text/html")


@_pages.get("/studio/page/{name}")
async def file(name: str) -> Response:
    """Return a file that the page names."""
    return shared.sent(_FILES, name)


def create_app(live: Live, *, token: str, port: int) -> FastAPI:
    """Return the application of the studio.

    Args:
        live: The project.
        token: What the browser must know.
        port: The port on which it is served.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        live.start()
        try:
            yield
        finally:
            live.stop()

    app = FastAPI(title="Headstart studio", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.live = live
    app.include_router(_pages)
    app.include_router(routes.router)
    app.add_api_route("/page/{name}", shared.file, include_in_schema=False)
    handle_errors(app)
    app.add_middleware(Token, token=token, port=port)
    app.add_middleware(Access, key=None, origins=(), local=True)
    app.add_middleware(Observed, metrics=Metrics())
    return app


class _Server(uvicorn.Server):
    """A server that does not wait for pending requests for changes when it stops."""

    def __init__(self, config: uvicorn.Config, live: Live) -> None:
        super().__init__(config)
        self._live = live

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Answer these requests, and stop."""
        self._live.release()
        super().handle_exit(sig, frame)


def run_studio(folder: Path, options: StudioOptions, tell: Callable[[str], None]) -> None:
    """Run the studio on a folder until the process is told to stop.

    Args:
        folder: The folder of a project; it is created if it does not exist.
        options: The options.
        tell: Called with the address to open when it is about to answer.

    Raises:
        HeadstartError: The folder cannot be used, or the port is in use.
    """
    listening = listen("127.0.0.1", options.port)
    port, token = listening.getsockname()[1], secrets.token_urlsafe(24)
    with closing(listening), Project(folder) as project:
        exact = options.deterministic
        extractor = FeatureExtractor(
            load_backbone(options.backbone, weights=options.weights),
            cache=cache_folder(options.cache),
            store=store_url(options.cache),
            device="cpu" if exact and options.device == "auto" else options.device,
            precision="float32" if exact and options.precision == "auto" else options.precision,
        )
        live = Live(
            project,
            Workbench(project.folder, extractor),
            _training(options),
        )
        listening.listen()  # The browser may ask before the server has started.
        tell(f"http://localhost:{port}/?token={token}")
        config = server_config(create_app(live, token=token, port=port))
        logging.getLogger("headstart.server").setLevel(logging.WARNING)  # No line per picture.
        _Server(config, live).run([listening])


def _training(options: StudioOptions) -> TrainOptions:
    """Return the options of `train` that the studio was given."""
    given = {name: value for name, value in options.given().items() if name in _TRAINING}
    return TrainOptions.of(**given)
