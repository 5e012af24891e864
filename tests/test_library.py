"""Progress of the library's functions, by default and on request."""

import inspect
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

import headstart as hs
from headstart.errors import OptionError
from headstart.watching import LibraryWatcher, SilentWatcher
from tests.commands.conftest import QUICK

MakeFolder = Callable[..., Path]


def test_progress_is_shown_by_default(
    make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal, a finished stage is a line on stderr; stdout stays empty."""
    hs.open_images(make_folder())
    printed = capsys.readouterr()
    assert "✓ Checking images" in printed.err
    assert "· 24 images of 2 classes" in printed.err
    assert printed.out == ""


def test_progress_can_be_silenced(
    make_folder: MakeFolder, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With progress=False, no function prints anything."""
    folder, cache = make_folder(), tmp_path / "cache"
    result = hs.train(folder, out=tmp_path / "run", cache=cache, progress=False, **QUICK)
    hs.evaluate(result.run, folder, cache=cache, progress=False)
    hs.predict(result.run, folder, cache=cache, progress=False)
    data = hs.open_images(folder, cache=cache, progress=False)
    result.model.fit(data.train, progress=False)
    result.model.evaluate(data.test, progress=False)
    assert capfd.readouterr() == ("", "")


def test_a_function_receives_the_progress(
    make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """A function is called with the images that are done and the total; nothing is printed."""
    calls = list[tuple[int, int]]()
    hs.open_images(make_folder(), progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (24, 24)
    assert capsys.readouterr().err == ""


def test_a_classifier_shows_its_steps(
    make_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`fit` and `evaluate` print a line for each step."""
    data = hs.open_images(make_folder(), progress=False)
    backbone = hs.load_backbone(QUICK["backbone"], weights="random", image_size=64)
    model = hs.Classifier(backbone, "linear", classes=data.classes, cache=tmp_path)
    model.fit(data.train).evaluate(data.test)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("✓")]
    assert [line[2:21].strip() for line in lines] == [
        *("Extracting features", "Training the head", "Evaluating"),
    ]


def test_warnings_are_python_warnings_and_not_printed(
    make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """A warning comes once, at the line that called the library, and the display has no copy."""
    folder = make_folder()
    (folder / "red/bad.png").write_bytes(b"no image")
    (folder / "red/copy.png").write_bytes((folder / "red/000.png").read_bytes())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        hs.open_images(folder)
    ours = [warning for warning in caught if warning.category is hs.HeadstartWarning]
    assert ours
    assert all(warning.filename == __file__ for warning in ours)
    printed = capsys.readouterr().err
    assert all(str(warning.message) not in printed for warning in ours)


def test_a_watcher_and_progress_exclude_each_other(make_folder: MakeFolder) -> None:
    """Both would receive the progress, so passing both is an error."""
    with pytest.raises(OptionError) as error:
        hs.open_images(make_folder(), watcher=SilentWatcher(), progress=True)
    assert str(error.value) == ("A watcher receives the progress. Pass either progress or watcher.")


def test_progress_of_a_wrong_type(make_folder: MakeFolder) -> None:
    """The error names the value."""
    with pytest.raises(OptionError) as error:
        hs.open_images(make_folder(), progress="bar")  # type: ignore[arg-type]
    assert str(error.value) == "progress must be True, False or a function. Got 'bar'."


def test_a_watcher_passes_warnings_on() -> None:
    """With its own function for warnings, a watcher issues no Python warnings."""
    received = list[str]()
    LibraryWatcher(warn=received.append).warn("The disk is slow.")
    assert received == ["The disk is slow."]


def test_signatures_need_no_torch() -> None:
    """Looking at a function imports none of the slow libraries."""
    code = """
import inspect, sys, headstart as hs
for name in ("train", "evaluate", "predict", "recommend", "open_images", "load"):
    inspect.signature(getattr(hs, name))
slow = ("torch", "sklearn", "timm", "openvino", "lance", "rich")
print([name for name in slow if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_training_prints_something_at_once(make_folder: MakeFolder) -> None:
    """The first line comes before the slow libraries are imported."""
    code = """
import sys, headstart as hs
class Stop(Exception): pass
def write(text):
    if text.strip():
        print(text.split(), "torch" in sys.modules)
        raise Stop
sys.stderr.write = write
try:
    hs.train(sys.argv[1])
except Stop:
    pass
"""
    command = [sys.executable, "-c", code, str(make_folder())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("['…', 'Loading', 'libraries'] False")


def test_type_checkers_see_the_functions() -> None:
    """The public names come from the same module as for type checkers."""
    assert {getattr(hs, name).__module__ for name in ("train", "load")} == {"headstart.library"}
    assert inspect.isfunction(hs.train)
