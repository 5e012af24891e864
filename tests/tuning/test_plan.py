"""The plan of --tune auto: the deepest part that fits, or fewer epochs of the last stage."""

import pytest

from headstart.tuning.plan import Cost, deepest
from headstart.tuning.setting import Setting

WAYS = [Setting(threads=count) for count in (1, 2, 3)]
COSTS = [
    Cost("stages:1", 10, 6, WAYS[0]),
    Cost("stages:2", 10, 12, WAYS[1]),
    Cost("stages:3", 10, 60, WAYS[2]),
]


@pytest.mark.parametrize(
    ("minutes", "planned"),
    [
        (20.0, ("stages:3", 10)),
        (4.0, ("stages:2", 10)),
        (2.0, ("stages:1", 10)),
        (1.0, ("stages:1", 7)),
        (0.6, ("stages:1", 3)),
        (0.5, None),
        (0.1, None),
    ],
)
def test_what_fits_is_planned(minutes, planned):
    """Nine tenths of the time are planned with; three epochs are the fewest.

    What was timed for the part is how steps will be taken.
    """
    said = []
    session = deepest(COSTS, 60 * minutes, 10, said.append)
    assert (session and (session.part, session.epochs)) == planned
    assert session is None or session.setting == WAYS[int(session.part[-1]) - 1]
    assert (
        said[0] == "Minutes that fine-tuning would take: stages:1 1.2, stages:2 2.2, stages:3 10.2."
    )
    assert (len(said) == 2) == (planned is not None and planned[1] < 10)
