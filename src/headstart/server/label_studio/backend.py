"""What the routes for Label Studio share, from the start of the server to its end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from headstart.errors import OptionError, OutputError, ServerError
from headstart.hub.names import on_hub
from headstart.server.answering import ServedModel
from headstart.server.label_studio.changes import changes_of_tasks
from headstart.server.label_studio.config import ImageChoices, read_config
from headstart.server.label_studio.host import Host, Unavailable
from headstart.server.label_studio.images import Images
from headstart.server.label_studio.project import IMAGES, RUN, Project
from headstart.server.label_studio.protocol import read_tasks
from headstart.server.label_studio.trainer import Trainer
from headstart.server.models import Place
from headstart.server.refusals import Refusal
from headstart.serving_options import ServeOptions

log = logging.getLogger("headstart.server")

_READERS = 8
_MOST_EXPORTED = 256 * 2**20


def place_of(models: Sequence[str]) -> Place:
    """Return where the model is: a model that stays as it is, or the run of a project's folder.

    Raises:
        ServerError: There are several.
    """
    if len(models) != 1:
        raise ServerError(
            "With --label-studio, name one model, or one folder for annotations and a model."
        )
    place = Place.parse(models[0])
    if on_hub(place.path) or place.path != models[0] or place.is_model:
        return place
    folder = Path(models[0])
    return Place(str(folder / RUN), folder.resolve().name, optional=True)


class Backend:
    """A machine-learning backend. Used by the event loop's thread, unless it is said.

    Args:
        place: Where the model is.
        options: The options of the server.

    Raises:
        ServerError: The folder of the project is something else, or in use.
        OptionError: There is no such folder of files, or an option of the training is wrong.
    """

    def __init__(self, place: Place, options: ServeOptions) -> None:
        folder = Path(place.path).parent if place.optional else None
        if options.label_studio_files and not options.label_studio_files.is_dir():
            raise OptionError(f"'{options.label_studio_files}' is not a folder.")
        self._host = Host.from_environment()
        self.images = Images(
            options.max_request_mb * 1_000_000,
            options.label_studio_files,
            self._host,
            folder / IMAGES if folder else None,
        )
        self.project = Project(folder, self.images, options) if folder else None
        self.trainer = Trainer(self.project.prepare, self.project.train) if self.project else None
        self.readers = ThreadPoolExecutor(_READERS, "read")
        self.writer = ThreadPoolExecutor(1, "journal")
        self._compared: tuple[object, ...] = ()

    def __enter__(self) -> Self:
        """Start to train."""
        if self.trainer:
            self.trainer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop to train."""
        for pool in (self.readers, self.writer):
            pool.shutdown(cancel_futures=True)
        if self.trainer:
            self.trainer.stop()
        if self.project:
            self.project.close()

    def by_class(self, served: ServedModel, choices: ImageChoices) -> dict[str, str]:
        """Return the choice for each class of a model, and log once which ones have none."""
        classes = served.answerer.about.classes
        found = choices.by_class(classes)
        compared = (served.version, choices)
        if compared != self._compared:
            self._compared = compared
            missing = [name for name in classes if name not in found]
            unknown = [one.name for one in choices.choices if one.name not in found.values()]
            if missing:
                log.warning("Classes that are not choices, never predicted: %s", ", ".join(missing))
            if unknown:
                log.warning("Choices that the model does not know: %s", ", ".join(unknown))
        return found

    def train_at_once(self, number: str | None = None, config: str | None = None) -> None:
        """Ask for a training; with a project's number, first load what was annotated before."""
        if self._host and self._host.key and config and number and number.isdecimal():
            self.readers.submit(self._load_and_train, self._host, number, read_config(config))
        elif self.trainer:
            self.trainer.ask(at_once=True)

    def _load_and_train(self, host: Host, number: str, choices: ImageChoices) -> None:
        """Load all annotations of a project, in a thread, and ask for a training."""
        assert self.project and self.trainer
        try:
            data = host.get(f"/api/projects/{number}/export?exportType=JSON", _MOST_EXPORTED)
            changes = list(changes_of_tasks(read_tasks(data), choices))
            new = self.writer.submit(self.project.keep, number, changes).result()
            log.info("Loaded the annotations of the project: %d are new.", new)
        except (Unavailable, Refusal, OutputError) as error:
            log.warning("The annotations of the project are not loaded: %s.", error)
        self.trainer.ask(at_once=True)
