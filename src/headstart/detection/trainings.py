"""The trainings of one detector, one after the other: checkpoints, time limit and settings."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import nn

from headstart.detection.recipe import DetectionRecipe
from headstart.detection.stored import StoredImages
from headstart.detection.training import DetectionTraining
from headstart.heads.boxes.losses import detection_loss
from headstart.heads.boxes.points import Points
from headstart.options import TrainOptions
from headstart.tuning.pacing.timing import Setting, candidate_settings, fastest_setting
from headstart.tuning.training.checkpoint import Checkpoints
from headstart.watching import Watcher


class Trainings:
    """The trainings of one detector, which share a folder and a time limit.

    Args:
        points: The points of the pyramid.
        options: How the detector is trained.
        folder: Folder of the checkpoints of this detector; None for none.
        identity: What must be equal for a training to be resumed.
        planned: The number of trainings, which get equal shares of the time limit.
        watcher: Follows the stages.
    """

    def __init__(
        self,
        points: Points,
        options: TrainOptions,
        folder: Path | None,
        identity: Mapping[str, object],
        planned: int,
        watcher: Watcher,
    ) -> None:
        self._points, self._options, self._folder = points, options, folder
        self._identity, self._planned, self._watcher = identity, planned, watcher
        self._begin, self._begun = time.perf_counter(), 0

    def run(
        self, name: str, network: nn.Module, stored: StoredImages, recipe: DetectionRecipe
    ) -> DetectionTraining:
        """Train a network, and give it the weights of the best epoch on the held-out images.

        Args:
            name: What is trained, such as "the detector".
            network: The network, from stored rows to the output of a head.
            stored: The images.
            recipe: Hyperparameters.

        Raises:
            TuningError: It diverged in its first epoch, or cannot be resumed.
        """
        setting = self._fastest_setting(network, stored, recipe)
        return self._run(f"Training {name}", network, stored, recipe, setting, on_all=False)

    def again(
        self, name: str, network: nn.Module, stored: StoredImages, first: DetectionTraining
    ) -> DetectionTraining:
        """Train a new network on all training images, for as many epochs as the first.

        Its last epoch is kept: the best epoch of a few held-out images is often too early.

        Args:
            name: What is trained.
            network: The new network.
            stored: The images.
            first: The training in which some images were held out.

        Raises:
            TuningError: It diverged in its first epoch, or cannot be resumed.
        """
        recipe, stage = replace(first.recipe, epochs=len(first.history)), f"Training {name} again"
        return self._run(
            f"{stage}, on all images", network, stored, recipe, first.setting, on_all=True
        )

    def _run(
        self,
        stage: str,
        network: nn.Module,
        stored: StoredImages,
        recipe: DetectionRecipe,
        setting: Setting,
        *,
        on_all: bool,
    ) -> DetectionTraining:
        checkpoints, deadline, limit = None, None, self._options.minutes
        self._begun += 1
        if self._folder:
            folder = self._folder / ("head" if self._begun == 1 else f"head-{self._begun}")
            checkpoints = Checkpoints(folder, self._identity, self._options.resume)
        if limit:
            deadline = self._begin + 60 * limit * self._begun / self._planned
        with self._watcher.stage(stage) as progress:
            training = DetectionTraining(
                *(network, self._points, stored.train if on_all else stored.learnt),
                *(None if on_all else stored.held_out, recipe, setting),
                measure=stored.measure,
                checkpoints=checkpoints,
                deadline=deadline,
                progress=progress,
                warn=self._watcher.warn,
            )
            training.run()
        return training

    def _fastest_setting(
        self, network: nn.Module, stored: StoredImages, recipe: DetectionRecipe
    ) -> Setting:
        """Return the fastest setting for a training step."""
        extractor = stored.maps.extractor
        settings = candidate_settings(device=extractor.device, bf16=extractor.allows_bf16)
        if self._options.deterministic:
            return settings[0]
        rows, truth = next(stored.learnt.batches(0, recipe.batch_size, recipe.seed))
        return fastest_setting(
            network,
            rows,
            lambda outputs: detection_loss(outputs.cpu(), self._points, truth),
            settings,
        )
