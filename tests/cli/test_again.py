"""The command that continues an interrupted one."""

import sys
from pathlib import Path

import pytest

from headstart.cli.again import command_again, command_with_plan

RUN = Path("runs/photos")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("train photos --tune all", "train photos --tune all --out runs/photos --resume"),
        ("train photos --out a --tune all", "train photos --out a --tune all --resume"),
        ("train photos --out=a --resume", "train photos --out=a --resume"),
        ("train photos --overwrite --out a", "train photos --out a --resume"),
        ("train --tune all -- -photos", "train --tune all --out runs/photos --resume -- -photos"),
    ],
)
def test_a_training_is_resumed_in_its_folder(arguments: str, expected: str) -> None:
    """The folder and --resume are added where they are missing; nothing is overwritten."""
    assert command_again(arguments.split(), resumed=RUN) == f"headstart {expected}"


def test_without_anything_to_resume_the_command_is_the_same() -> None:
    """Values with spaces are quoted for a shell."""
    again = command_again(["train", "my photos", "--overwrite", "--out", "a"])
    assert again == "headstart train 'my photos' --overwrite --out a"


@pytest.mark.parametrize("found", [True, False])
def test_the_program_is_found_by_the_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: bool
) -> None:
    """Its path is printed if its name alone would start nothing or another program."""
    for folder in ("bin", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "headstart").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / ("bin" if found else "other")))
    program = str(tmp_path / "bin/headstart")
    monkeypatch.setattr(sys, "argv", [program])
    assert command_again(["train", "a"]) == f"{'headstart' if found else program} train a"


def test_a_plan_is_carried_out_with_the_options_by_which_the_data_was_read() -> None:
    """What concerns the check alone is left out, with its value."""
    arguments = "check t.csv --labels a,b --plan p.csv --report=x.html --overwrite --weights w"
    command = command_with_plan(arguments.split(), Path("p.csv"))
    assert command == "headstart check t.csv --labels a,b --apply p.csv --out COPY"
