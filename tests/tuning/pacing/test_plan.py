"""The plan of --tune auto: the deepest part that fits, or fewer epochs of the last stage."""

import pytest

from headstart.tuning.pacing.plan import Pace, Workload, deepest_part
from headstart.tuning.pacing.timing import Setting
from headstart.watching import no_note

WAYS = [Setting(threads=count) for count in (1, 2, 3)]
RATES = (100, 50, 10)
PACES = [
    Pace(f"stages:{number}", 10, Setting(threads=number, images_per_second={way.name: rate}))
    for number, (way, rate) in enumerate(zip(WAYS, RATES, strict=True), 1)
]
ONE_ROUND = Workload(trained=600, held_out=0, once=0)


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
def test_the_plan_fits_into_the_time(minutes, planned):
    """A plan uses nine tenths of the time, and at least three epochs.

    It has the setting that was timed for the part.
    """
    warnings, notes = [], []
    session = deepest_part(
        PACES, ONE_ROUND, 60 * minutes, 10, warn=warnings.append, note=notes.append
    )
    assert (session and (session.part, session.epochs)) == planned
    assert session is None or session.setting == PACES[int(session.part[-1]) - 1].setting
    assert notes == ["Estimated minutes of fine-tuning: stages:1 1.2, stages:2 2.2, stages:3 10.2."]
    assert bool(warnings) == (planned is None or planned[1] < 10)


def test_without_a_plan_the_missing_minutes_are_named():
    """Three epochs of the last stage take 730 seconds, of which nine tenths must be enough."""
    warnings = []
    work = Workload(trained=24_000, held_out=0, once=0)  # 240 seconds per epoch.
    assert deepest_part(PACES, work, 600, 10, warn=warnings.append, note=no_note) is None
    assert warnings[0] == (
        "There is no time for 3 epochs of stages:1, so the backbone stays frozen. This would take "
        "about 4 more minutes: pass --minutes (minutes=) with a higher limit."
    )
