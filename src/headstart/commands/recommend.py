"""Recommend: compare backbones on the user's images and choose one."""

import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from headstart.backbones.catalogue import architecture_of
from headstart.backbones.licences import licence_of, licence_warning
from headstart.choosing.candidates import candidates_of
from headstart.cluster.machines import machines_at
from headstart.commands.choosing import compare_backbones
from headstart.commands.combinations import RUN, SEARCH, reject_ineffective_options
from headstart.data.paths import data_name
from headstart.errors import DataError
from headstart.notebook import html_table
from headstart.options import RecommendOptions
from headstart.record import BackboneTrial, Recommendation, RecommendationRecord, Source
from headstart.runs.folders import reserved_folder
from headstart.runs.run import write_recommendation
from headstart.tasks.opening import open_data
from headstart.watching import Watcher


@dataclass(frozen=True)
class RecommendResult:
    """The result of comparing backbones.

    Attributes:
        run: The folder that was written.
        recommendation: The recommended backbone, with the trials of all candidates.
    """

    run: Path
    recommendation: Recommendation

    def __repr__(self) -> str:
        return f"RecommendResult({self.recommended}: {self.why}, run='{self.run}')"

    def _repr_html_(self) -> str:
        """Return a row for each backbone, for notebooks."""
        columns = ("backbone", "accuracy>", "95% interval>", "images per second>")
        return html_table(repr(self), columns, map(_cells, self.backbones))

    @property
    def recommended(self) -> str:
        """Name of the recommended backbone."""
        return self.recommendation.recommended

    @property
    def why(self) -> str:
        """The reason, as a clause without the name of the backbone."""
        return self.recommendation.why

    @property
    def backbones(self) -> tuple[BackboneTrial, ...]:
        """The trials of all candidates, most accurate first."""
        return self.recommendation.backbones


def _cells(trial: BackboneTrial) -> tuple[str, ...]:
    low, high = trial.accuracy_ci95
    interval = f"{low:.1%} to {high:.1%}"
    return trial.name, f"{trial.accuracy:.1%}", interval, f"{trial.images_per_second:,.0f}"


def run_recommendation(
    data: str | os.PathLike[str], options: RecommendOptions, watcher: Watcher
) -> RecommendResult:
    """Run `recommend` with validated options."""
    reject_ineffective_options(options, RUN)
    reject_ineffective_options(options, SEARCH)
    candidates = candidates_of(options.backbones)
    name = f"{data_name(data)}-backbones"
    with (
        reserved_folder(options.out, name, overwrite=options.overwrite, note=watcher.note) as run,
        machines_at(options.cluster, watcher) as machines,
    ):
        images = open_data(data, options, watcher, check=machines.check_files)
        if images.task.name == "boxes":
            raise DataError(
                f"'{data}' has boxes, for which backbones are not compared yet. Train with one, "
                "such as --backbone resnet50."
            )
        recommendation = compare_backbones(images, candidates, options, watcher, machines)
        licence = licence_of(architecture_of(recommendation.recommended), recommendation.weights)
        if text := licence_warning(recommendation.recommended, licence):
            watcher.warn(text)
        source = Source(images.name, str(data))
        write_recommendation(
            run, RecommendationRecord(version("headstart"), source, recommendation)
        )
    return RecommendResult(run, recommendation)
