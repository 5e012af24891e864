"""Whether threads and processes that share one loaded model give the same answers.

python -m benchmarks.processes

A model of solar cells is loaded and has predicted. Then eight threads, eight forked processes and
eight spawned ones predict 64 cells each, all at once.
"""

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import headstart as hs
from benchmarks.machine import describe
from headstart.commands.demo import write_solar_cells
from headstart.predictor.predictor import Predictor

WORKERS, IMAGES = 8, 64
LONGEST = 600
"""Seconds after which a worker counts as hanging."""

Task = tuple[Predictor, list[str]]


def answers(task: Task) -> list[tuple[str, float]]:
    """Predict some images; a function of the module, so that other processes find it."""
    model, paths = task
    return [(one.label, one.probability) for one in model.predict(paths)]


def threads(tasks: list[Task]) -> list[list[tuple[str, float]]]:
    """Predict in threads."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(answers, tasks, timeout=LONGEST))


def processes(method: str) -> Callable[[list[Task]], list[list[tuple[str, float]]]]:
    """Return a function that predicts in processes that were started in some way."""

    def run(tasks: list[Task]) -> list[list[tuple[str, float]]]:
        with multiprocessing.get_context(method).Pool(WORKERS) as pool:
            return pool.map_async(answers, tasks, chunksize=1).get(timeout=LONGEST)

    return run


def main() -> None:
    """Compare the answers of each kind of worker with those of one thread."""
    print(f"machine: {describe()}\n")
    print("| workers | same labels | largest difference of a probability | s |")
    print("| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        table = write_solar_cells(root / "images")
        run = hs.train(table, out=root / "run", cache=root, backbone="efficientnet-lite0").run
        paths = hs.open_images(table, cache=root).test.paths[:IMAGES]
        model = hs.load(run, cache=root)
        begin = time.perf_counter()
        expected = answers((model, paths))
        print(f"| one | | | {time.perf_counter() - begin:.1f} |", flush=True)
        ways = {
            "threads": threads,
            "forked processes": processes("fork"),
            "spawned processes": processes("spawn"),
        }
        for name, run_all in ways.items():
            begin = time.perf_counter()
            found = run_all([(model, paths)] * WORKERS)
            seconds = time.perf_counter() - begin
            pairs = [pair for each in found for pair in zip(each, expected, strict=True)]
            same = sum(one[0] == other[0] for one, other in pairs)
            gap = max(abs(one[1] - other[1]) for one, other in pairs)
            print(
                f"| {WORKERS} {name} | {same} of {len(pairs)} | {gap:.1e} | {seconds:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
