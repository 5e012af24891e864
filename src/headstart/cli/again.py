"""The command that continues an interrupted one, as it is typed in a shell."""

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path


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


def _program() -> str:
    """Return how the user started this program: its name if that finds it, otherwise its path."""
    program, name = Path(sys.argv[0]), "headstart"
    found = shutil.which(name)
    is_other = found is None or not program.exists() or not program.samefile(found)
    return str(program) if program.stem == name and is_other else name
