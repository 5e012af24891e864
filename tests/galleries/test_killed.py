"""A gallery whose writers are killed has every acknowledged change, and nothing half done."""

import json
import random
import time
from pathlib import Path

import numpy as np

from headstart.files import locked
from headstart.galleries.table import GalleryTable
from tests.galleries.test_table import WIDTH, Enrolled
from tests.processes import PROCESSES

KILLS = 6


def image(name: str) -> Enrolled:
    """Return an image with an embedding that follows from its name."""
    point = np.random.default_rng(list(name.encode())).normal(size=(1, WIDTH)).astype(np.float32)
    return Enrolled([name], [name], ["item"], [name], [{}], point / np.linalg.norm(point))


def write(path: str, log: str, writer: str) -> None:
    """Add images and remove some of them for ever, and note each change when it is done."""
    table = GalleryTable(Path(path))
    with Path(log).open("a") as file:
        for number in range(10_000):
            name = f"{writer}-{number}"
            with locked(Path(path).parent / ".lock", wait=30):
                table.append(image(name))
            file.write(json.dumps(["add", name]) + "\n")
            file.flush()
            if number % 3 == 2:
                with locked(Path(path).parent / ".lock", wait=30):
                    table.remove([f"{writer}-{number - 1}"])
                file.write(json.dumps(["remove", f"{writer}-{number - 1}"]) + "\n")
                file.flush()


def test_acknowledged_changes_survive(tmp_path: Path) -> None:
    """Two writers at a time, killed at random moments."""
    table = GalleryTable.create(tmp_path / "images.lance", WIDTH)
    draw = random.Random(0)
    logs: list[Path] = []
    for number in range(KILLS // 2):
        processes = []
        for writer in (f"{number}a", f"{number}b"):
            logs.append(tmp_path / f"{writer}.log")
            arguments = (str(table.path), str(logs[-1]), writer)
            processes.append(PROCESSES.Process(target=write, args=arguments))
            processes[-1].start()
        while any(not log.exists() or log.read_text().count("\n") < 4 for log in logs[-2:]):
            time.sleep(0.01)
            assert all(process.is_alive() for process in processes)
        time.sleep(draw.uniform(0, 0.3))
        for process in processes:
            process.kill()
            process.join()
    found = {row.sha256 for row in table.rows()}
    assert len(found) == len(table)
    for log in logs:
        done = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("]")]
        writer = log.stem
        added = {name for what, name in done if what == "add"}
        removed = {name for what, name in done if what == "remove"}
        last = max(int(name.rpartition("-")[2]) for name in added)
        # Only the change that was under way may be there or not.
        begun = {f"{writer}-{last + 1}", f"{writer}-{last - 1}"}
        own = {name for name in found if name.startswith(f"{writer}-")}
        assert own - begun == added - removed - begun
        for name in sorted(own):
            rows, distances = table.nearest(image(name).points[0], 1)
            assert (rows[0].sha256, round(float(distances[0]), 5)) == (name, 0)
