"""A search on a cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import headstart as hs
from headstart.choosing.searching import Step
from headstart.cluster.joining import joined
from headstart.cluster.mapping import WorkerSize
from headstart.watching import SilentWatcher
from tests.conftest import COLOURS, TINY, picture

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("joined_once")]
SIZES = (100, 300, 900)
ONE_CORE = WorkerSize(cpus=1, gpus=0, workers=2)


def steps(loss: float) -> Iterator[Step]:
    """Yield the same loss for each sample; none for a candidate that cannot be loaded."""
    if loss < 0:
        return
    for size in SIZES:
        yield Step(size, loss)


def test_bad_candidates_are_stopped(address: str, tmp_path: Path) -> None:
    """The best one sees all images; nothing is left in the folder."""
    from headstart.cluster.searching import race

    losses, counts = [0.1, 0.7, 0.8, 0.9, -1.0, 0.6], list[tuple[int, int]]()
    with joined(address, SilentWatcher()):
        last = race(
            losses,
            steps,
            SIZES,
            ONE_CORE,
            folder=tmp_path,
            progress=lambda done, count: counts.append((done, count)),
        )
    assert last[0] == Step(900, 0.1)
    assert last[4] is None
    assert all(step.images < 900 for step in (last[2], last[3]))
    assert counts[-1] == (6, 6)
    assert not list(tmp_path.iterdir())


def test_a_search(address: str, tmp_path: Path) -> None:
    """The best combinations are measured on all images; the model has the image size of one."""
    for label, colour in COLOURS.items():
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(20):
            path = tmp_path / "photos" / label / f"{number}.png"
            picture(number + 1000 * (label == "red"), colour, side=32).save(path)
    result = hs.train(
        tmp_path / "photos",
        backbone="auto",
        backbones=f"{TINY}=random",
        search=3,
        cluster=address,
        out=tmp_path / "run",
        cache=tmp_path / "cache",
        precision="float32",
        progress=False,
    )
    recommendation = result.record.recommendation
    assert recommendation is not None
    sizes = [trial.image_size for trial in recommendation.backbones]
    assert len(set(sizes)) == 3 and 160 in sizes
    assert result.record.image_size == recommendation.image_size
