"""The plan of --tune auto: the deepest part that fits, or fewer epochs of the last stage."""

import pytest

from headstart.tuning.pacing.plan import Pace, Workload, deepest
from headstart.tuning.pacing.timing import Setting

WAYS = [Setting(threads=count) for count in (1, 2, 3)]
RATES = (100, 50, 10)
PACES = [
    Pace(f"stages:{number}", 10, Setting(threads=number, images_per_second={way.name: rate}))
    for number, (way, rate) in enumerate(zip(WAYS, RATES, strict=True), 1)
]
ONE_ROUND = Workload(trained=600, held_out=0, once=0)
THREE_ROUNDS = Workload(trained=1800, held_out=0, once=0)


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
    session = deepest(PACES, [ONE_ROUND], 60 * minutes, 10, said.append)
    assert (session and (session.part, session.epochs)) == planned
    assert session is None or session.setting == PACES[int(session.part[-1]) - 1].setting
    assert (
        said[0] == "Minutes that fine-tuning would take: stages:1 1.2, stages:2 2.2, stages:3 10.2."
    )
    assert (len(said) == 2) == (planned is not None and planned[1] < 10)


@pytest.mark.parametrize(
    ("minutes", "planned", "told"),
    [
        (10.0, "stages:2", "stages:1 3.2, stages:2 6.2, stages:3 30.2"),
        (4.0, "stages:1", "stages:1 3.2, stages:2 6.2, stages:3 30.2"),
        (3.0, "stages:2", "stages:1 1.2, stages:2 2.2, stages:3 10.2"),
        (2.0, "stages:1", "stages:1 1.2, stages:2 2.2, stages:3 10.2"),
    ],
)
def test_time_to_judge_comes_before_depth(minutes, planned, told):
    """Where three rounds of the last stage fit, no deeper part is taken that leaves time for one.

    Where they do not, one round has to do.
    """
    said = []
    session = deepest(PACES, [THREE_ROUNDS, ONE_ROUND], 60 * minutes, 10, said.append)
    assert (session.part, session.epochs) == (planned, 10)
    assert said == [f"Minutes that fine-tuning would take: {told}."]
