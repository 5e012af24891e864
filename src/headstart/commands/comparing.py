"""Which backbone: all candidates are tried, or the best of a search on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headstart.choosing.candidates import Candidate
from headstart.choosing.searching import SearchTrial, draw_candidates
from headstart.choosing.trials import try_backbones
from headstart.data.images import Images
from headstart.options import TryOptions, cache_folder
from headstart.record import Recommendation
from headstart.watching import Watcher

if TYPE_CHECKING:
    from headstart.cluster.cluster import Cluster

_BEST = 5
"""Combinations that are measured on all images, and timed, after a search."""


def compare_backbones(
    images: Images,
    candidates: Sequence[Candidate],
    options: TryOptions,
    watcher: Watcher,
    cluster: Cluster | None,
) -> Recommendation:
    """Recommend a backbone for images.

    Args:
        images: The images.
        candidates: The backbones.
        options: What to compare them on.
        watcher: Follows the trials.
        cluster: Where features are computed. Default: this process.
    """
    if cluster and options.search:
        drawn = draw_candidates(candidates, options.search, options)
        candidates = _searched(images, drawn, options, watcher, cluster)
    extract = cluster.extract if cluster else None
    return try_backbones(images.train, images.val, candidates, options, watcher, extract)


def _searched(
    images: Images,
    drawn: Sequence[Candidate],
    options: TryOptions,
    watcher: Watcher,
    cluster: Cluster,
) -> list[Candidate]:
    """Return the best combinations of backbone and image size, and those that cannot be loaded."""
    trial = SearchTrial(images.train, options)
    with watcher.stage(f"Searching among {len(drawn)} combinations") as progress:
        found = cluster.search(
            drawn, trial, options.device, folder=cache_folder(options.cache), progress=progress
        )
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
