"""Which backbone: all candidates are tried, or the best of a search on a cluster."""

from collections.abc import Sequence

from headstart.choosing.candidates import Candidate
from headstart.choosing.trials import try_backbones
from headstart.cluster.machines import Machines
from headstart.data.images import Images
from headstart.options import TryOptions
from headstart.record import Recommendation
from headstart.watching import Watcher


def compare_backbones(
    images: Images,
    candidates: Sequence[Candidate],
    options: TryOptions,
    watcher: Watcher,
    machines: Machines,
) -> Recommendation:
    """Recommend a backbone for images.

    Args:
        images: The images.
        candidates: The backbones.
        options: What to compare them on.
        watcher: Follows the trials.
        machines: Where features are computed.
    """
    tried = machines.shortlist(candidates, images.train, options)
    return try_backbones(images.train, images.val, tried, options, watcher, machines.extract)
