"""Push: share a trained model on the Hugging Face hub."""

import os
from pathlib import Path

from headstart.hub.pushing import PushedModel, push_model
from headstart.options import PushOptions
from headstart.watching import Watcher


def run_push(
    model: str | os.PathLike[str], repository: str, options: PushOptions, watcher: Watcher
) -> PushedModel:
    """Run `push` with validated options."""
    with watcher.stage(f"Pushing to {repository}"):
        pushed = push_model(
            Path(model),
            repository,
            message=options.message,
            private=options.private,
            overwrite=options.overwrite,
        )
    if not pushed.private:
        watcher.note(
            f"'{pushed.repository}' is public, with the record of the training in config.json: "
            "names of some images, and the path of the data."
        )
    return pushed
