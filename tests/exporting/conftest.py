"""A tiny trained model and its exports, shared by the tests of this package."""

import json
import shutil
import tempfile
from functools import cache
from types import SimpleNamespace

import pytest

import headstart as hs
from headstart.exporting import job
from headstart.exporting.formats import Onnx
from headstart.exporting.script import FIRST_LINE
from tests.cli.conftest import headstart
from tests.commands.conftest import trained
from tests.conftest import COLOURS, picture
from tests.processes import run_python

__all__ = ["headstart", "trained"]


@pytest.fixture(autouse=True, scope="package")
def _fork_scripts():
    """Fork the processes of exported scripts, as starting them takes longer than their work."""
    with pytest.MonkeyPatch.context() as patch:
        runner = SimpleNamespace(run=run_python)
        patch.setattr("headstart.exporting.script.subprocess", runner)
        yield


@pytest.fixture(scope="package")
def model(trained):
    """Load the trained model in float32."""
    cache = trained.run.parent / "cache"
    return hs.load(trained.run, precision="float32", device="cpu", cache=cache)


@pytest.fixture(scope="package")
def onnx_layers():
    """List the layers of the run's network in ONNX, once that has been exported."""
    return []


@pytest.fixture(scope="package")
def exported(trained, onnx_layers, tmp_path_factory):
    """Return a function that exports the run in a format, once."""
    root = tmp_path_factory.mktemp("exports")
    options = {"cache": trained.run.parent / "cache", "progress": False}
    write = Onnx.write

    def writing(self, model, *rest):
        onnx_layers.extend(self.layers(model))
        write(self, model, *rest)

    def export(name):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Onnx, "write", writing)
            return hs.export(trained.run, format=name, out=root / name, **options)

    return cache(export)


@pytest.fixture(scope="package")
def photos(tmp_path_factory):
    """Write three images: blue, red and grey."""
    folder = tmp_path_factory.mktemp("few")
    for number, colour in enumerate((COLOURS["blue"], COLOURS["red"], (128, 128, 128))):
        picture(5_000 + number, colour, 96).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def export(trained, photos, tmp_path):
    """Return a function that exports to `tmp_path / "out"`, checked with three images."""

    def run(model=None, **options):
        defaults = {"format": "openvino", "images": photos, "out": tmp_path / "out"}
        options = defaults | {"cache": trained.run.parent / "cache"} | options
        return hs.export(model or trained.run, progress=False, **options)

    return run


EARLIER = FIRST_LINE + ', an earlier one"""'


@pytest.fixture
def unchecked(exported, monkeypatch):
    """Skip the parity gate, which other tests are about."""
    parity = exported("openvino").parity
    monkeypatch.setattr(job, "check_parity", lambda _, files, *rest, **named: (parity, files))


@pytest.fixture
def nothing_left(tmp_path, monkeypatch):
    """Return a function that asserts that an earlier export is the only thing in `tmp_path`."""
    for name in ("predict.py", "README.md"):
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / name).write_text(EARLIER)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(work))

    def check():
        assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "work"]
        files = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
        assert files == {"predict.py": EARLIER, "README.md": EARLIER}
        assert list(work.iterdir()) == []
        shutil.rmtree(tmp_path / "out")

    return check


def parsed(text):
    """Parse what the script printed."""
    return [json.loads(line) for line in text.splitlines()]
