"""Mark a run as unfinished while it is trained."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from headstart.errors import OutputError, RunInterrupted
from headstart.files import remove
from headstart.runs.unfinished import UNFINISHED, Request, list_unfinished
from headstart.tuning.trainings import saved_since


@contextmanager
def marked_unfinished(run: Path, request: Request, checkpoints: Path) -> Iterator[None]:
    """Mark a run as unfinished, so that it can be resumed in its folder even if it is killed.

    If the block raises before a checkpoint was saved, there is nothing to resume, and the run is
    no longer marked.

    Args:
        run: The folder of the run.
        request: What the training was asked to do.
        checkpoints: The folder with the checkpoints of trainings on the same data.

    Raises:
        OutputError: The folder cannot be written.
        RunInterrupted: The user pressed Ctrl-C, and the run can be resumed.
    """
    marked, begin = Request.read(run) is not None, time.time()
    try:
        request.write(run)
    except OSError as error:
        raise OutputError(f"Output '{run}' cannot be written: {error.strerror}.") from None
    list_unfinished(checkpoints, run)
    try:
        yield
    except BaseException as error:
        if not marked and not saved_since(checkpoints, begin):
            remove(run / UNFINISHED)
            with suppress(OSError):
                run.rmdir()  # Fails unless the folder is empty.
            list_unfinished(checkpoints)
        elif isinstance(error, KeyboardInterrupt):
            raise RunInterrupted(run) from None
        raise
