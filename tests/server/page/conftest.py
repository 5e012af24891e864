"""The page of a server, open in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import COLOURS, picture
from tests.report.browser import EXECUTABLE, Browser, open_browser
from tests.server.conftest import Client
from tests.server.page.visit import Visit


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if EXECUTABLE is None:
        pytest.skip("There is no Chromium: install it by `apt-get install chromium`.")
    with open_browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="package")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files: images of both colours and of none, and what is not an image."""
    folder = tmp_path_factory.mktemp("files")
    for name, colour in COLOURS.items():
        picture(5, colour).save(folder / f"{name}.png")
    picture(6, COLOURS["red"]).save(folder / "scan.tif")
    stranger = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    stranger.putdata([(255 * (x % 2), 255, 255 * (x // 3 % 2)) for x in range(64 * 64)])
    stranger.save(folder / "stranger.png")
    (folder / "notes.png").write_text("not an image")
    (folder / "empty.png").touch()
    return folder


@pytest.fixture
def page(browser: Browser, client: Client) -> Visit:
    """The page of a model that tells blue and red apart."""
    visit = Visit(browser, f"http://localhost:{client.port}/")
    visit.open()
    return visit


def asked(client: Client, path: Path, **query: object) -> Any:
    """Return what the server itself answers to a file."""
    options = "&".join(f"{name}={value}" for name, value in query.items())
    return client.post(f"/predict?{options}", path.read_bytes()).json[0]
