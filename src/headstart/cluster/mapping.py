"""Map a step over parts of the work, in workers of the cluster, through Ray Data."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import pyarrow as pa
import ray
import ray.data

from headstart.cluster.nodes import enter
from headstart.cores import use_share

Part = TypeVar("Part")
Result = TypeVar("Result")

PART = 256
"""Images in a part; as many are computed again if a worker dies."""

_COLUMN = "pickled"

Step = Callable[[Part], Result]
"""What a worker does with each part."""


@dataclass(frozen=True)
class WorkerSize:
    """What each worker gets of the cluster.

    Attributes:
        cpus: Cores.
        gpus: GPUs.
        workers: The number of workers.
    """

    cpus: int
    gpus: int
    workers: int


def map_parts(
    make: Callable[[], Step[Part, Result]],
    parts: Iterable[Part],
    size: WorkerSize,
) -> Iterator[Result]:
    """Yield the result for each part, as they are done.

    A part is computed again if its worker or its node dies, so its step must not have effects that
    count twice. All parts are in Ray's object store from the start; results come one at a time.

    Args:
        make: Makes the step, once in each worker. It is pickled, with all that it holds.
        parts: The work. Parts and results are pickled, too.
        size: The workers.

    Raises:
        Exception: What a step raised, with the worker's traceback as a note.
    """
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.enable_operator_progress_bars = False
    blocks = [_block([part]) for part in parts]
    if not blocks:
        return
    setup = ray.put((make, size.cpus, str(Path.cwd())))
    results = ray.data.from_arrow(blocks).map_batches(
        _Worker,
        fn_constructor_args=([setup],),  # In a list, so that a restarted worker gets it again.
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=size.workers),
        num_cpus=size.cpus,
        num_gpus=size.gpus or None,
    )
    batches = results.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    # A generator, which ends the work when it is closed.
    with closing(cast(Generator[pa.Table], iter(batches))) as running:
        for batch in running:
            for outcome in _values(batch):
                yield cast(_Outcome[Result], outcome).result()


def _block(values: Iterable[object]) -> pa.Table:
    pickled = [pickle.dumps(value) for value in values]
    return pa.table({_COLUMN: pa.array(pickled, pa.large_binary())})


def _values(block: pa.Table) -> list[object]:
    return [pickle.loads(value) for value in block[_COLUMN].to_pylist()]


def divided(items: Sequence[Part]) -> Iterator[Sequence[Part]]:
    """Divide images into parts."""
    for begin in range(0, len(items), PART):
        yield items[begin : begin + PART]


def in_order(numbered: Iterable[tuple[int, Result]]) -> Iterator[Result]:
    """Yield results in the order of their numbers, which begin at 0."""
    waiting: dict[int, Result] = {}
    following = 0
    for number, result in numbered:
        waiting[number] = result
        while following in waiting:
            yield waiting.pop(following)
            following += 1


@dataclass(frozen=True)
class _Outcome(Generic[Result]):
    """The result of a step, or its error."""

    value: Result | None = None
    error: Exception | None = None

    def result(self) -> Result:
        if self.error is not None:
            raise self.error
        return cast(Result, self.value)


class _Worker:
    """A process of the cluster that does a step for one part after the other."""

    def __init__(self, setup: list[Any]) -> None:
        make, cpus, folder = ray.get(setup[0])
        use_share(cpus)
        enter(folder)
        self._step = make()

    def __call__(self, batch: pa.Table) -> pa.Table:
        return _block([self._outcome(part) for part in _values(batch)])

    def _outcome(self, part: object) -> _Outcome[Any]:
        try:
            return _Outcome(self._step(part))
        except Exception as error:
            error.add_note(f"In a worker of the cluster:\n{traceback.format_exc()}")
            return _Outcome(error=error)
