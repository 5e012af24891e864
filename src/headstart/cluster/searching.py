"""Try candidates on a cluster, and stop those that do badly: ASHA, by Ray Tune."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from math import inf
from pathlib import Path
from typing import Any, TypeVar

# The command itself handles Ctrl-C.
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")

from ray import tune
from ray.tune.schedulers import ASHAScheduler

from headstart.cache import cache_folder
from headstart.choosing.candidates import Candidate
from headstart.choosing.searching import REDUCTION, SearchTrial, Step, draw_candidates
from headstart.cluster.mapping import WorkerSize
from headstart.cluster.nodes import SHARE_CACHE, check_visible, enter
from headstart.cores import use_share
from headstart.data.images import ImageSet
from headstart.errors import HeadstartError
from headstart.options import TryOptions
from headstart.watching import Progress, Watcher

Tried = TypeVar("Tried")

_BEST = 5
"""Combinations that are measured on all images, and timed, after a search."""

_ATTEMPTS = 3
"""Times that a candidate is tried again if its worker or its node dies."""


def search(
    candidates: Sequence[Candidate],
    count: int,
    train: ImageSet,
    options: TryOptions,
    watcher: Watcher,
    size: WorkerSize,
) -> list[Candidate]:
    """Return the best combinations of backbone and image size, and those that cannot be loaded.

    Args:
        candidates: The backbones.
        count: The number of combinations to try.
        train: The training part.
        options: How they are tried.
        watcher: Follows the search.
        size: What each combination gets of the cluster.
    """
    drawn, trial = draw_candidates(candidates, count, options), SearchTrial(train, options)
    with watcher.stage(f"Searching among {len(drawn)} combinations") as progress:
        folder = cache_folder(options.cache)
        found = race(drawn, trial, trial.sizes, size, folder=folder, progress=progress)
    steps = {one: step for one, step in zip(drawn, found, strict=True) if step}
    tried = [one for one in steps if steps[one].images == trial.sizes[-1]]
    best = sorted(tried, key=lambda one: steps[one].log_loss)[:_BEST]
    listed = ", ".join(f"{one} {steps[one].log_loss:.3f}" for one in best)
    watcher.note(
        f"Search: {len(tried)} of {len(drawn)} combinations were tried on {trial.sizes[-1]:,} "
        f"images, the others on fewer. Lowest log loss on folds: {listed}."
    )
    # Those that cannot be loaded are tried again, which says why.
    return best + [one for one in drawn if one not in steps]


def race(
    candidates: Sequence[Tried],
    steps: Callable[[Tried], Iterator[Step]],
    sizes: Sequence[int],
    size: WorkerSize,
    *,
    folder: Path,
    progress: Progress,
) -> list[Step | None]:
    """Return the last result of each candidate; None if it has none.

    Args:
        candidates: What is tried.
        steps: Tries a candidate on larger and larger samples. It is pickled, with all that it
            holds.
        sizes: The numbers of images of the samples, smallest first.
        size: What each candidate gets of the cluster.
        folder: For files of Ray Tune, which are deleted afterwards. All nodes share it.
        progress: Called when a candidate is done or stopped.

    Raises:
        DataError: A node does not share the folder.
        Exception: What a step raised.
    """
    here = str(Path.cwd())

    def trial(config: dict[str, int], candidates: Sequence[Any], steps: Callable[..., Any]) -> None:
        use_share(size.cpus)
        enter(here)
        try:
            for step in steps(candidates[config["number"]]):
                tune.report({"images": step.images, "log_loss": step.log_loss})
        except HeadstartError as error:  # It would be raised again.
            tune.report({"images": sizes[-1], "log_loss": inf, "error": error})

    halving = ASHAScheduler(
        time_attr="images",
        max_t=sizes[-1],
        grace_period=sizes[0],
        reduction_factor=REDUCTION,
    )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="search-") as results:
        check_visible(results, SHARE_CACHE)
        found = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(trial, candidates=candidates, steps=steps),
                {"CPU": size.cpus, "GPU": 1 if size.gpus else 0},
            ),
            param_space={"number": tune.grid_search(list(range(len(candidates))))},
            tune_config=tune.TuneConfig(
                metric="log_loss", mode="min", scheduler=halving, reuse_actors=True
            ),
            run_config=tune.RunConfig(
                storage_path=results,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=_ATTEMPTS),
                callbacks=[_Count(len(candidates), progress)],
            ),
        ).fit()
        last: list[Step | None] = [None] * len(candidates)
        for number in range(len(candidates)):
            result = found[number]
            if result.error is not None:
                raise result.error
            if not result.metrics or "images" not in result.metrics:
                continue
            if error := result.metrics.get("error"):
                raise error
            last[number] = Step(result.metrics["images"], result.metrics["log_loss"])
        return last


class _Count(tune.Callback):
    """Counts the candidates that are done or stopped."""

    def __init__(self, count: int, progress: Progress) -> None:
        self._count, self._progress, self._done = count, progress, 0

    def __getstate__(self) -> dict[str, object]:
        return {}  # Ray Tune saves its callbacks to continue a search, which is not done here.

    def on_trial_complete(self, *_: object, **__: object) -> None:
        self._done += 1
        self._progress(self._done, self._count)
