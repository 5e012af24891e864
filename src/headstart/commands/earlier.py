"""An earlier run, compared with a new model on the same test images."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from headstart.arrays import Probabilities, Rows
from headstart.commands.pairing import (
    common_classes,
    different_tasks,
    measure_labels,
    record_comparison,
    restricted_to,
    warn_of_classes,
)
from headstart.commands.parts import Part, used_before
from headstart.data.images import Images, ImageSet
from headstart.data.medical.volumes import reading_of
from headstart.data.paths import list_names
from headstart.errors import DataError, OptionError
from headstart.options import TrainOptions
from headstart.predictor.detector import Detector
from headstart.predictor.predictor import Predictor
from headstart.record.comparison import ComparisonRecord
from headstart.tasks.loading import load_model
from headstart.watching import Watcher

NEW = "this model"
"""The name of the new model in the comparison."""


@dataclass(frozen=True)
class EarlierRun:
    """A trained model that new ones are compared with.

    Attributes:
        path: Its run or bundle, as the user passed it.
        predictor: The model.
    """

    path: Path
    predictor: Predictor

    @classmethod
    def load(cls, path: Path, images: Images, options: TrainOptions) -> Self:
        """Load it, and check before any training that it can be compared.

        Raises:
            BundleError: It cannot be loaded.
            DataError: It has another task, or hardly any class in common.
            OptionError: There are no images to compare on.
        """
        predictor = load_model(path, options)
        if not len(images.test):
            raise OptionError(
                f"--compare {path} has no effect without test images. Add --test 0.2, or remove it."
            )
        if predictor.task.name != images.task.name or isinstance(predictor, Detector):
            different = different_tasks(predictor.task, images.task)
            raise DataError(f"The run '{path}' cannot be compared with this training: {different}.")
        common = [name for name in images.classes if name in predictor.classes]
        if len(common) < images.task.least_classes:
            raise DataError(
                f"The run '{path}' has other classes ({list_names(predictor.classes)}) than "
                f"'{images.name}', so it cannot be compared."
            )
        if images.all.is_medical:
            _check_reading(path, predictor, images.all)
        return cls(path, predictor)

    def compare(
        self,
        model: Predictor,
        test: ImageSet,
        probabilities: Probabilities,
        name: str,
        watcher: Watcher,
    ) -> ComparisonRecord:
        """Compare a new model with it.

        Args:
            model: The new model.
            test: The test images.
            probabilities: Those of the new model for them, (images, classes).
            name: The name of the data.
            watcher: Follows the stages.
        """
        models = {str(self.path): self.predictor, NEW: model}
        task, classes = common_classes(models)
        left_out = warn_of_classes(models, classes, watcher)
        shown, rows = _with_classes(test, classes)
        with watcher.stage(f"Predicting with {self.path}") as progress:
            earlier = self.predictor.probabilities_of(shown, progress=progress, warn=watcher.warn)
        answers = {
            str(self.path): restricted_to(task, self.predictor, earlier, classes),
            NEW: restricted_to(task, model, probabilities[rows], classes),
        }
        warnings = tuple(self._warnings(shown))
        for warning in warnings:
            watcher.warn(warning)
        part = Part("test", shown, name, own=False, rejected=(), warnings=())
        measured = measure_labels(task, answers, part.images)
        return record_comparison(measured, part, left_out, warnings)

    def _warnings(self, images: ImageSet) -> Iterator[str]:
        for warning in used_before(self.path, self.predictor.record, images):
            yield f"'{self.path}': {warning}"


def _with_classes(images: ImageSet, classes: tuple[str, ...]) -> tuple[ImageSet, Rows]:
    """Return the images that have no class but the given ones, and their rows."""
    task, known = images.task, set(classes)
    labels = images.table["label"].to_pylist()
    rows = np.flatnonzero([known.issuperset(task.classes([label])) for label in labels])
    return replace(images.take(rows), classes=classes), rows


def _check_reading(path: Path, model: Predictor, images: ImageSet) -> None:
    """Check that medical images are read as the earlier model reads them."""
    its = reading_of(model.extractor.preprocess.contract)
    if (its.window, its.frames) != (images.window, images.frames):
        raise DataError(
            f"The run '{path}' reads medical images differently, so it cannot be compared: pass "
            f"--window {its.window} --frames {its.frames}, as it was trained."
        )
