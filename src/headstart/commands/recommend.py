"""Recommend: try backbones on the images themselves, and name one to take."""

import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from headstart.backbones.catalogue import architecture_of
from headstart.backbones.licences import licence_of, licence_warning
from headstart.choosing.trials import candidates_of, try_backbones
from headstart.commands.combinations import RUN, require_effect
from headstart.data.sources import data_name
from headstart.options import RecommendOptions
from headstart.record import BackboneTrial, Recommendation, RecommendationRecord, Source
from headstart.runs.folders import reserved_folder
from headstart.runs.run import write_recommendation
from headstart.tasks.opening import open_data
from headstart.watching import SilentWatcher, Watcher


@dataclass(frozen=True)
class RecommendResult:
    """What trying backbones gave.

    Attributes:
        run: The folder that it wrote.
        recommendation: The backbone to take, and what it was chosen from.
    """

    run: Path
    recommendation: Recommendation

    @property
    def recommended(self) -> str:
        """Name of the recommended backbone."""
        return self.recommendation.recommended

    @property
    def why(self) -> str:
        """The reason, as a clause without the name."""
        return self.recommendation.why

    @property
    def backbones(self) -> tuple[BackboneTrial, ...]:
        """Every backbone that was tried, best accuracy first."""
        return self.recommendation.backbones


def recommend(
    data: str | os.PathLike[str],
    *,
    watcher: Watcher | None = None,
    **options: Any,  # noqa: ANN401
) -> RecommendResult:
    """Try backbones on a sample of labelled images and say which one to take.

    Only training images are looked at. The features that this computes are used by `train`.

    Args:
        data: See `train`.
        watcher: Follows the stages.
        options: See `RecommendOptions`.

    Raises:
        HeadstartError: The data, a backbone or an option cannot be used; the text says why.
    """
    return run_recommendation(data, RecommendOptions.of(**options), watcher or SilentWatcher())


def run_recommendation(
    data: str | os.PathLike[str], options: RecommendOptions, watcher: Watcher
) -> RecommendResult:
    """Do `recommend` with options that are built already."""
    require_effect(options, RUN)
    candidates = candidates_of(options.backbones)
    name = f"{data_name(Path(data))}-backbones"
    with reserved_folder(options.out, name, overwrite=options.overwrite) as run:
        images = open_data(data, options, watcher)
        found = try_backbones(images.train, candidates, options, watcher)
        licence = licence_of(architecture_of(found.recommended), found.weights)
        if text := licence_warning(found.recommended, licence):
            watcher.warn(text)
        source = Source(images.name, str(data))
        write_recommendation(run, RecommendationRecord(version("headstart"), source, found))
    return RecommendResult(run, found)
