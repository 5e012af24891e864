"""JSON on stdout is valid in every encoding."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MAIN = "from headstart.cli import main; main()"
PROGRAM = """
import io, sys
from headstart.cli.json_output import print_json
sys.stdout.reconfigure(errors="backslashreplace")
print_json([{"image": "日\\u00e9\\n\\"x", "name\\udcff": ("bad\\udcff.png", 0.1, None, True)}])
"""


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "cp1252"])
def test_json_is_valid_in_every_encoding(encoding: str) -> None:
    """Characters that the encoding lacks are escaped, and bytes that are not UTF-8 are shown."""
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, check=True
    )
    assert json.loads(done.stdout.decode(encoding)) == [
        {"image": '日é\n"x', "name\\xff": ["bad\\xff.png", 0.1, None, True]}
    ]
    assert ("日".encode() in done.stdout) == (encoding == "utf-8")


def test_a_command_prints_valid_json_in_ascii(tmp_path: Path) -> None:
    """A folder whose name is neither ASCII nor UTF-8 is printed as JSON."""
    name = os.fsdecode(os.fsencode(tmp_path) + "/é日".encode() + b"\xff")
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "cache", "info", "--json", "--cache", name],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.decode("ascii"))["folder"] == f"{tmp_path}/é日\\xff"
