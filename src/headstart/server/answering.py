"""One model that answers many requests: images are decoded on threads and joined into batches."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread

import numpy as np
from PIL import Image

from headstart.arrays import Pixels
from headstart.data.decoding import as_loaded
from headstart.errors import UnreadableImage
from headstart.server.answerer import Answer, Answerer, Asked, Computed
from headstart.server.decoders import Decoded, Decoders

AnswerOrError = Answer | UnreadableImage
"""The answer to one image, or why it cannot be decoded."""


@dataclass(frozen=True, eq=False)
class _Job:
    """An image that waits for the network."""

    name: str
    image: Decoded
    asked: Asked
    future: Future[AnswerOrError]


Measure = Callable[[int, float], None]
"""Called with the number of images in a batch and the seconds that it took."""


class ServedModel:
    """A model that answers requests. It is replaced as a whole, never changed.

    While a request uses a model, the model keeps answering, even if it was replaced meanwhile.

    Args:
        name: The name under which it is served.
        answerer: The model.
        version: Identifies its contents.
        card: Its model card, in Markdown.
        decoders: Decodes images, for all models.
        measure: Receives the duration of each batch, on another thread.
    """

    def __init__(
        self,
        name: str,
        answerer: Answerer,
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
        black = Decoded.of(as_loaded(Image.new("RGB", (1, 1))), self.answerer.preprocess)
        for count in range(1, self._engine.batch_size + 1):
            outputs = self.answerer.infer(np.stack([black.pixels] * count))
            self.answerer.answers([Computed("", black, row) for row in outputs], Asked())
        for worker in self._workers:
            worker.start()

    @contextmanager
    def used(self) -> Iterator[None]:
        """Use the model for the time of a block; it is not stopped before."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            self._stop_if_unused()

    def retire(self) -> None:
        """Stop as soon as no request uses the model."""
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

        def prepare() -> None:
            if future.cancelled():
                return
            try:
                decoded = self._prepared(name, image)
            except Exception as error:
                _end(future, error)
            else:
                self._waiting.put(_Job(name, decoded, asked, future))

        self._decoders.submit(prepare)
        return future

    def _prepared(self, name: str, image: bytes | Pixels) -> Decoded:
        """Return what the network reads."""
        preprocess = self.answerer.preprocess
        if isinstance(image, bytes):
            return self._decoders.decode(name, image, preprocess)
        return Decoded.of(as_loaded(Image.fromarray(image)), preprocess)

    def _stop_if_unused(self) -> None:
        if self._retired and not self._users:
            for _ in self._workers:
                self._waiting.put(None)

    def _work(self) -> None:
        """Answer what waits, in batches, until the model is stopped."""
        while (first := self._waiting.get()) is not None:
            jobs = [
                job for job in (first, *self._more()) if job.future.set_running_or_notify_cancel()
            ]
            try:
                if jobs:
                    self._answer(jobs)
            except Exception as error:
                for job in jobs:
                    if not job.future.done():
                        job.future.set_exception(error)

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

    def _answer(self, jobs: Sequence[_Job]) -> None:
        begin = time.perf_counter()
        outputs = self.answerer.infer(np.stack([job.image.pixels for job in jobs]))
        alike = defaultdict[Asked, list[tuple[_Job, Computed]]](list)
        for job, output in zip(jobs, outputs, strict=True):
            alike[job.asked].append((job, Computed(job.name, job.image, output)))
        for asked, rows in alike.items():
            answers = self.answerer.answers([computed for _, computed in rows], asked)
            for (job, _), answer in zip(rows, answers, strict=True):
                job.future.set_result(answer)
        self._measure(len(jobs), time.perf_counter() - begin)


def _end(future: Future[AnswerOrError], error: Exception) -> None:
    """Say why there is no answer, unless nobody waits for it any more."""
    if not future.set_running_or_notify_cancel():
        return
    if isinstance(error, UnreadableImage):
        future.set_result(error)
    else:
        future.set_exception(error)
