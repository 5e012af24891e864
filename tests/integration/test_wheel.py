"""The wheel holds what the product needs, and nothing else."""

import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The files of a wheel that was built here."""
    if find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed, and building would fetch it")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, ROOT], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


def test_the_wheel_is_typed(names: list[str]) -> None:
    """Type checkers find py.typed."""
    assert "headstart/py.typed" in names


def test_the_wheel_holds_the_template_of_the_report(names: list[str]) -> None:
    """Files that are no Python come along."""
    assert "headstart/report/report.html.jinja" in names


def test_the_wheel_holds_every_module(names: list[str]) -> None:
    """What is in the source tree is in the wheel."""
    modules = [path.relative_to(ROOT / "src") for path in (ROOT / "src").rglob("*.py")]
    assert {str(module) for module in modules} <= set(names)


def test_the_wheel_holds_nothing_else(names: list[str]) -> None:
    """No tests, benchmarks or docs; the licence comes along."""
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"headstart"}
    assert any(name.endswith("/LICENSE") for name in names)
