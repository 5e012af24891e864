"""The wheel contains the package and nothing else."""

import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Build a wheel and return the names of its files."""
    if find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed, and building would download it")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, ROOT], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


def test_the_wheel_is_typed(names: list[str]) -> None:
    """Type checkers find py.typed."""
    assert "headstart/py.typed" in names


def test_the_wheel_contains_the_templates(names: list[str]) -> None:
    """Files other than Python modules are included."""
    assert "headstart/report/report.html.jinja" in names


def test_the_wheel_contains_every_module(names: list[str]) -> None:
    """All modules of the source tree are included."""
    modules = [path.relative_to(ROOT / "src") for path in (ROOT / "src").rglob("*.py")]
    assert {str(module) for module in modules} <= set(names)


def test_the_wheel_contains_nothing_else(names: list[str]) -> None:
    """Tests, benchmarks and docs are not included; the licence is."""
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"headstart"}
    assert any(name.endswith("/LICENSE") for name in names)
