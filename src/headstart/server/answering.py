"""One model that answers many requests: images are decoded on threads and joined into batches.

An image that is cut into tiles takes its turn for each of them, so that it does not hold up others.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from PIL import Image

from headstart.arrays import Pixels
from headstart.data.decoding import LoadedImage, as_loaded
from headstart.data.placement import Placement
from headstart.errors import UnreadableImage
from headstart.server.answerer import (
    Answer,
    Answerer,
    Asked,
    Computed,
    Found,
    Inputs,
    ModelAnswerer,
)
from headstart.server.decoders import Decoders

AnswerOrError = Answer | UnreadableImage
"""The answer to one image, or why it cannot be decoded."""


class _Job:
    """An image that waits for the network, which takes its inputs one by one.

    Args:
        name: The name of the image.
        inputs: What the network reads.
        asked: What to answer.
        future: Receives the answer.
    """

    def __init__(
        self, name: str, inputs: Inputs, asked: Asked, future: Future[AnswerOrError]
    ) -> None:
        self.asked, self.future = asked, future
        self._name, self._placements = name, inputs.placements
        self._left = zip(range(len(inputs.placements)), inputs.pixels, strict=True)
        self._found: dict[int, Found] = {}
        self._lock = Lock()

    def take(self) -> _Taken:
        """Return the next input, which is the work of one thread at a time."""
        number, pixels = next(self._left)
        is_last = number + 1 == len(self._placements)
        return _Taken(self, number, self._placements[number], pixels, is_last=is_last)

    def computed(self, number: int, found: Found) -> Computed | None:
        """Keep what was found in an input; return all of it if this was the last to be found."""
        with self._lock:
            self._found[number] = found
            if len(self._found) < len(self._placements):
                return None
        every = [self._found[number] for number in range(len(self._placements))]
        return Computed(self._name, self._placements, every)

    def end(self, answer: AnswerOrError | Exception) -> None:
        """Give the answer, or the error, unless another batch has ended the work with an error."""
        with self._lock:
            if not self.future.done():
                _end(self.future, answer)


@dataclass(frozen=True, eq=False)
class _Taken:
    """An input that a batch has taken."""

    job: _Job
    number: int
    placement: Placement | None
    pixels: Pixels
    is_last: bool


Measure = Callable[[int, int, float], None]
"""Called with the number of images or tiles in a batch, of images that were answered after it, and
the seconds that it took."""


AnyAnswerer = TypeVar("AnyAnswerer", bound=Answerer)


class Served(Generic[AnyAnswerer]):
    """A model or a gallery that answers requests. It is replaced as a whole.

    While a request uses it, it keeps answering, even if it was replaced meanwhile.

    Args:
        name: The name under which it is served.
        answerer: The model or the gallery.
        version: Identifies its network and what was learnt with it.
        card: Its card, in Markdown.
        decoders: Decodes images, for all models.
        measure: Receives the duration of each batch, on another thread.
    """

    def __init__(
        self,
        name: str,
        answerer: AnyAnswerer,
        *,
        version: str,
        card: str,
        decoders: Decoders,
        measure: Measure,
    ) -> None:
        self.name, self.version, self.card = name, version, card
        self.answerer = answerer
        self.loaded = time.time()
        self._decoders, self._measure = decoders, measure
        self._waiting = SimpleQueue[_Job | None]()
        self._engine = answerer.engine
        self._users, self._retired = 0, False
        self._workers = [
            Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(self._engine.streams)
        ]

    def start(self) -> None:
        """Answer once with each size of batch, the first of which take longer; then be ready."""
        black = self.answerer.read(as_loaded(Image.new("RGB", (1, 1))))
        (pixels,), (placement,) = black.pixels, black.placements
        for count in range(1, self._engine.batch_size + 1):
            found = self.answerer.infer(np.stack([pixels] * count), [placement] * count)
            self.answerer.answers([Computed("", [placement], [one]) for one in found], Asked())
        for worker in self._workers:
            worker.start()

    @contextmanager
    def used(self) -> Iterator[None]:
        """Use it for the time of a block; it is not stopped before."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            self._stop_if_unused()

    def retire(self) -> None:
        """Stop as soon as no request uses it."""
        self._retired = True
        self._stop_if_unused()

    def submit(self, name: str, image: bytes | Pixels, asked: Asked) -> Future[AnswerOrError]:
        """Decode and answer an image.

        Args:
            name: The name of the image.
            image: The content of an image file, or pixels, (height, width, 3).
            asked: What to answer, which has been checked.

        Returns:
            The answer, or why the file cannot be decoded.
        """
        future = Future[AnswerOrError]()

        def prepare(free: Callable[[], None]) -> None:
            with ExitStack() as room:
                room.callback(free)
                if future.cancelled():
                    return
                try:
                    inputs = self.answerer.read(self._loaded(name, image))
                except Exception as error:
                    _end(future, error)
                    return
                if len(inputs.placements) > 1:  # Tiles are still to be cut out of it.
                    kept = room.pop_all()
                    future.add_done_callback(lambda _: kept.close())
                self._waiting.put(_Job(name, inputs, asked, future))

        self._decoders.submit(prepare, image if isinstance(image, bytes) else None)
        return future

    def _loaded(self, name: str, image: bytes | Pixels) -> LoadedImage:
        if not isinstance(image, bytes):
            return as_loaded(Image.fromarray(image))
        needed, contract = self.answerer.needed, self.answerer.preprocess.contract
        return self._decoders.decode(name, image, needed, contract)

    def _stop_if_unused(self) -> None:
        if self._retired and not self._users:
            for _ in self._workers:
                self._waiting.put(None)

    def _work(self) -> None:
        """Answer what waits, in batches, until the model is stopped."""
        while (first := self._waiting.get()) is not None:
            batch = list(self._batch(first))
            try:
                if batch:
                    self._answer(batch)
            except Exception as error:
                for taken in batch:
                    taken.job.end(error)

    def _batch(self, first: _Job) -> Iterator[_Taken]:
        """Yield an input of each image in turn, of those that wait at the moment, up to a batch."""
        for job in chain((first,), self._more()):
            if job.future.done():  # Nobody waits for it any more.
                continue
            try:
                taken = job.take()
            except Exception as error:
                job.end(error)
                continue
            if not taken.is_last:
                self._waiting.put(job)
            yield taken

    def _more(self) -> Iterator[_Job]:
        """Yield what else waits at the moment, up to a batch."""
        for _ in range(self._engine.batch_size - 1):
            try:
                job = self._waiting.get_nowait()
            except Empty:
                return
            if job is None:
                self._waiting.put(None)
                return
            yield job

    def _answer(self, batch: Sequence[_Taken]) -> None:
        begin = time.perf_counter()
        pixels = np.stack([taken.pixels for taken in batch])
        found = self.answerer.infer(pixels, [taken.placement for taken in batch])
        alike = defaultdict[Asked, list[tuple[_Job, Computed]]](list)
        for taken, one in zip(batch, found, strict=True):
            if computed := taken.job.computed(taken.number, one):
                alike[taken.job.asked].append((taken.job, computed))
        for asked, rows in alike.items():
            answers = self.answerer.answers([computed for _, computed in rows], asked)
            for (job, _), answer in zip(rows, answers, strict=True):
                job.end(answer)
        self._measure(len(batch), sum(map(len, alike.values())), time.perf_counter() - begin)


ServedModel: TypeAlias = Served[ModelAnswerer]
AnyServed: TypeAlias = Served[Any]


def _end(future: Future[AnswerOrError], answer: AnswerOrError | Exception) -> None:
    """Give the answer, or say why there is none, unless nobody waits for it any more."""
    if not future.set_running_or_notify_cancel():
        return
    if isinstance(answer, Answer | UnreadableImage):
        future.set_result(answer)
    else:
        future.set_exception(answer)
