"""A project that is open in the studio, with what is computed beside it."""

from __future__ import annotations

import base64
import io
import json
import shutil
import tempfile
import threading
from pathlib import Path

from pydantic import JsonValue

from headstart.commands.export import run_export
from headstart.commands.train import run_training
from headstart.data.boxes.image_sizes import read_sizes
from headstart.errors import OutputError, ProjectError, UnreadableImage, reason_of
from headstart.explanations.explaining import explain_each
from headstart.files import remove, write_atomically
from headstart.options import ExportFormat, ExportOptions, TrainOptions
from headstart.predictor.predictor import FailedPrediction, Predictor
from headstart.server.studio.answers import item_json, job_json, learnt_json, study_json
from headstart.server.studio.jobs import Jobs
from headstart.server.studio.learner import Learner
from headstart.studio.acts import Act
from headstart.studio.probing import Probe
from headstart.studio.project import HIDDEN, Project
from headstart.studio.studying import Study, study
from headstart.studio.workbench import Workbench
from headstart.watching import Watcher

_FINISHED = "finished.json"
"""What is known of the model that was trained last."""
_NEAREST = 6
_PATIENCE = 10.0
_SIDE = 1000  # Pixels of the longer side of a heat map.


class Live:
    """A project, a thread that learns from its labels, and the long work that a person starts.

    Args:
        project: The project.
        workbench: Knows the images' features.
        options: How the whole model is trained; where it is written is decided here.

    Attributes:
        project: The project.
    """

    def __init__(self, project: Project, workbench: Workbench, options: TrainOptions) -> None:
        self.project, self._workbench, self._options = project, workbench, options
        self._changed = threading.Condition()
        self._version, self._stopping = 1, False
        self._learner = Learner(project, workbench, self._tell)
        self._jobs = Jobs(self._tell)
        self._study: Study | None = None
        self._model: tuple[Probe, Predictor] | None = None
        self._modelling, self._archiving = threading.Lock(), threading.Lock()
        self._hidden = project.folder / HIDDEN

    def start(self) -> None:
        """Start the thread."""
        self._learner.start()

    def stop(self) -> None:
        """Stop the thread, after what it is doing."""
        self.release()
        self._jobs.stop(_PATIENCE)
        self._learner.stop()

    def release(self) -> None:
        """Answer those who wait for changes. It may be called by the handler of a signal."""
        self._stopping = True
        threading.Thread(target=self._tell, daemon=True).start()

    def do(self, act: Act) -> int:
        """Do something; return the number of acts when it is on the disk.

        Raises:
            HeadstartError: It is impossible, or cannot be written.
        """
        self.project.do(act)
        self._learner.wake()
        self._tell()
        return self.project.labels.number

    def add_file(self, name: str, file: Path, labels: tuple[str, ...], group: str) -> list[str]:
        """Move a file that was dropped into the project; return the paths of its images.

        Raises:
            HeadstartError: It cannot be kept, or is an archive that cannot be read.
        """
        images = self.project.add_file(name, file, labels, group)
        self._learner.wake()
        self._tell()
        return images

    @property
    def run(self) -> Path:
        """The folder of the trained model."""
        return self._hidden / "model"

    def train(self) -> None:
        """Begin to fit the full head to the present labels, and to measure its learning curve.

        Raises:
            ProjectError: Other work is going on, or labels are boxes.
        """
        with self.project.lock:
            labels = self.project.labels.state
        if labels.kind == "boxes":
            raise ProjectError("Models of boxes are trained when you finish.")

        def work(watcher: Watcher) -> dict[str, JsonValue]:
            probe = self._learner.learnt.probe
            self._study = study(self._workbench, labels, probe, watcher)
            return {}

        self._jobs.start("train", work)

    def finish(self, *, tune: bool) -> None:
        """Begin to train the whole model on the present labels.

        Args:
            tune: Whether to fine-tune the network, too.

        Raises:
            ProjectError: Other work is going on.
        """
        with self.project.lock:
            kind = self.project.labels.kind
        changes: dict[str, object] = {"out": self.run, "overwrite": True}
        if kind != "single":
            changes["task"] = kind
        if tune:
            # What the time allows cannot be deterministic.
            changes["tune"] = "stages:1" if self._options.deterministic else "auto"
        options = self._options.model_copy(update=changes)

        def work(watcher: Watcher) -> dict[str, JsonValue]:
            with self.project.lock:
                table, lesson = self.project.write_table(), self.project.labels.lesson
            summary = run_training(table, options, watcher).summary
            verdict = f"{summary.headline}{summary.context}" if summary else ""
            found = {"lesson": lesson, "verdict": verdict}
            remove(self._hidden / "export")  # It is that of the model before.
            write_atomically(self._hidden / _FINISHED, json.dumps(found))
            return {}

        self._jobs.start("finish", work)

    def export(self, kind: ExportFormat) -> None:
        """Begin to export the trained model, and to compare its answers with the model's.

        Raises:
            ProjectError: There is no model, or other work is going on.
        """
        self._check_finished()
        out = self._hidden / "export"

        def work(watcher: Watcher) -> dict[str, JsonValue]:
            options = ExportOptions(format=kind, out=out, overwrite=True, cache=self._options.cache)
            record = run_export(self.run, options, watcher)
            return {"images": record.parity.images}

        self._jobs.start("export", work)

    def archive(self, name: str) -> Path:
        """Return a zip archive of the "model" or the "export".

        Raises:
            ProjectError: There is none.
            OutputError: It cannot be written.
        """
        folder = self._hidden / name
        if name not in ("model", "export") or not folder.is_dir():
            raise ProjectError(f"There is no {name} yet.")
        with self._archiving, tempfile.TemporaryDirectory(dir=self._hidden) as temporary:
            try:
                made = shutil.make_archive(str(Path(temporary) / name), "zip", folder)
                return Path(made).replace(folder.with_suffix(".zip"))
            except OSError as error:
                raise OutputError(
                    f"'{folder}.zip' cannot be written: {reason_of(error)}."
                ) from None

    def pause(self, *, paused: bool) -> None:
        """Pause the work that is going on, or continue it."""
        self._jobs.pause(paused=paused)

    def cancel(self) -> None:
        """Cancel the work that is going on."""
        self._jobs.cancel()

    def model(self) -> Predictor:
        """Return the model of the present labels, as far as they were learnt from.

        Raises:
            ProjectError: There is none.
        """
        probe, found = self._learner.learnt.probe, self._study
        if self.project.labels.kind == "boxes":
            raise ProjectError(
                "The studio cannot try models of boxes. Use headstart serve, or headstart predict."
            )
        if probe is None:
            raise ProjectError("There is no model yet. Label some images of two classes.")
        if found and found.lesson == probe.lesson:
            return found.predictor
        with self._modelling:
            if self._model is None or self._model[0] is not probe:
                self._model = probe, probe.with_limits(self._workbench)
            return self._model[1]

    def look(self, data: bytes) -> dict[str, JsonValue]:
        """Return the prediction for an image.

        Raises:
            ProjectError: There is no model, or the image cannot be decoded.
        """
        (found,) = self.model().predict_each([data])
        if isinstance(found, FailedPrediction):
            raise ProjectError(f"This image cannot be read: {found.error}.")
        return found.to_json()

    def explain(self, image: str) -> dict[str, JsonValue]:
        """Return the prediction of an image and the reasons for it.

        Returns:
            The label and its probability, the image with its heat map as the URL of a JPEG, and the
            training images that are most similar.

        Raises:
            ProjectError: There is no model, or no such image.
            UnreadableImage: It cannot be decoded.
        """
        path = self.project.path_of(image)
        (found,) = explain_each(self.model(), [path], neighbours=_NEAREST + 1)
        if isinstance(found, FailedPrediction):
            raise UnreadableImage(found.image, found.error)
        picture, file = found.picture, io.BytesIO()
        picture.thumbnail((_SIDE, _SIDE))
        picture.save(file, "JPEG", quality=85)
        names = [self._workbench.image_of(one.sha256) for one, _ in found.neighbours]
        others: list[JsonValue] = [name for name in names if name and name != image]
        return {
            "label": found.label,
            "probability": found.probability,
            "picture": f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}",
            "nearest": others[:_NEAREST],
        }

    def size_of(self, image: str) -> tuple[int, int]:
        """Return the width and the height of an image as it is seen, in pixels.

        Raises:
            ProjectError: There is no such image.
            UnreadableImage: Its header cannot be read.
        """
        path = str(self.project.path_of(image))
        size = read_sizes([path])[0]
        if size is None:
            raise UnreadableImage(image, "its header cannot be read")
        return size.seen

    def state(self, *, since: int, seen: int, learnt: int, wait: float) -> dict[str, JsonValue]:
        """Return what has changed for a page.

        Args:
            since: The number of acts that the page knows.
            seen: The version that it knows; 0 for none.
            learnt: The version of what was learnt that it knows.
            wait: Seconds to wait for a change.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._version > seen or self._stopping, wait)
            version = self._version
        learner, found = self._learner, self._learner.learnt
        with self.project.lock:
            labels = self.project.labels
            items = labels.changed_since(since if seen else -1)
            state: dict[str, JsonValue] = {
                "version": version,
                "number": labels.number,
                "lesson": labels.lesson,
                "name": self.project.folder.resolve().name,
                "kind": labels.kind,
                "classes": list(labels.classes),
                "items": {name: item_json(item) for name, item in items.items()},
                "undo": labels.can_undo,
                "redo": labels.can_redo,
                "images": len(labels.items),
            }
            images = set(labels.items)
        state |= {
            "looked_at": len(learner.looked_at & images),
            "problems": {**learner.problems},
            "job": job_json(self._jobs.state),
            "finished": self._finished(),
            "study": study_json(self._study),
        }
        if found.version != learnt or not seen:
            state["learnt"] = learnt_json(found)
        return state

    def _finished(self) -> dict[str, JsonValue] | None:
        """Return what is known of the model that was trained last; None if there is none."""
        try:
            found = json.loads((self._hidden / _FINISHED).read_text())
        except (OSError, ValueError):
            return None
        if not self.run.is_dir():
            return None
        return {**found, "run": str(self.run), "exported": (self._hidden / "export").is_dir()}

    def _check_finished(self) -> None:
        if self._finished() is None:
            raise ProjectError("There is no trained model yet. Press Finish first.")

    def _tell(self) -> None:
        with self._changed:
            self._version += 1
            self._changed.notify_all()
