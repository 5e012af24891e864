"""The command that continues an interrupted one, as it is typed in a shell."""

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

# The options of a check that are not repeated when its plan is carried out; the first ones have a
# value.
_OF_CHECK = ("--plan", "--report", "--backbone", "--weights")
_FLAGS_OF_CHECK = ("--overwrite", "--no-label-errors", "--json")


def command_again(arguments: Sequence[str], *, resumed: Path | None = None) -> str:
    """Return the command line that continues an interrupted command.

    Args:
        arguments: The arguments of the interrupted command.
        resumed: The folder of the run to resume; None to run the same command again.
    """
    repeated = list(arguments)
    if resumed is not None:
        end = repeated.index("--") if "--" in repeated else len(repeated)
        options, rest = [one for one in repeated[:end] if one != "--overwrite"], repeated[end:]
        if not any(one == "--out" or one.startswith("--out=") for one in options):
            options += ["--out", str(resumed)]
        repeated = [*options, *(() if "--resume" in options else ("--resume",)), *rest]
    return shlex.join([_program(), *repeated])


def command_with_plan(arguments: Sequence[str], plan: Path) -> str:
    """Return the command line that carries out a plan on a copy of the data.

    Args:
        arguments: The arguments of the command that wrote the plan.
        plan: The plan.
    """
    kept, skipped = [], False
    for one in arguments:
        name = one.partition("=")[0]
        if not skipped and name not in (*_OF_CHECK, *_FLAGS_OF_CHECK):
            kept.append(one)
        skipped = name in _OF_CHECK and "=" not in one
    return shlex.join([_program(), *kept, "--apply", str(plan), "--out", "COPY"])


def _program() -> str:
    """Return how the user started this program: its name if that finds it, otherwise its path."""
    program, name = Path(sys.argv[0]), "headstart"
    found = shutil.which(name)
    is_other = found is None or not program.exists() or not program.samefile(found)
    return str(program) if program.stem == name and is_other else name
