"""A studio with a tiny network, over loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import headstart as hs
from headstart.features.extractor import FeatureExtractor
from headstart.options import TrainOptions
from headstart.server.studio.app import create_app
from headstart.server.studio.live import Live
from headstart.studio.project import Project
from headstart.studio.workbench import Workbench
from tests.commands.conftest import QUICK
from tests.conftest import TINY
from tests.server.conftest import Client, running

TOKEN = "a-token-of-this-start"


@contextmanager
def studio(folder: Path, cache: Path) -> Iterator[Client]:
    """Run the studio on a folder; the client has its cookie."""
    backbone = hs.load_backbone(TINY, weights="random", image_size=64)
    extractor = FeatureExtractor(backbone, cache=cache, precision="float32")
    options = TrainOptions.of(**QUICK, cache=cache, deterministic=True)
    with Project(folder) as project:
        live = Live(project, Workbench(folder, extractor), options)
        with running(create_app(live, token=TOKEN, port=0)) as client:
            yield replace(client, headers={"Cookie": f"headstart-studio-0={TOKEN}"})
