"""One model that answers many requests: images are decoded on threads and joined into batches."""

from __future__ import annotations

import io
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from threading import Thread

import numpy as np
from PIL import Image

from headstart.answers import AnyTaskPrediction
from headstart.arrays import Features, Pixels
from headstart.errors import UnreadableImage
from headstart.evaluation.known_images import Neighbour
from headstart.heads.small_batches import for_small_batches
from headstart.options import AnswerOptions
from headstart.predictor.limits import AnswerRules
from headstart.predictor.predictor import Predictor
from headstart.server.decoders import Decoders

_KEPT_RULES = 64
_HEAT_MAP_SIDE = 800  # pixels of the longer side


@dataclass(frozen=True)
class Asked:
    """What a request asks for.

    Attributes:
        options: What the model says about an image.
        nearest: The number of similar training images to find.
        explain: Whether to draw a heat map.
    """

    options: AnswerOptions = field(default_factory=AnswerOptions)
    nearest: int = 0
    explain: bool = False


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer to one image.

    Attributes:
        prediction: The prediction.
        features: The features, rounded as stored, (width,).
        neighbours: Similar training images, nearest first, each with a small JPEG if the model
            keeps one.
    """

    prediction: AnyTaskPrediction
    features: Features
    neighbours: tuple[tuple[Neighbour, bytes | None], ...] = ()


AnswerOrError = Answer | UnreadableImage
"""The answer to one image, or why it cannot be decoded."""


@dataclass(frozen=True, eq=False)
class _Job:
    """An image that waits for the network."""

    name: str
    pixels: Pixels
    asked: Asked
    future: Future[AnswerOrError]


Measure = Callable[[int, float], None]
"""Called with the number of images in a batch and the seconds that it took."""


class ServedModel:
    """A model that answers requests. It is replaced as a whole, never changed.

    While a request uses a model, the model keeps answering, even if it was replaced meanwhile.

    Args:
        name: The name under which it is served.
        predictor: The model.
        version: Identifies its contents.
        card: Its model card, in Markdown.
        decoders: Decodes images, for all models.
        measure: Receives the duration of each batch, on another thread.
    """

    def __init__(
        self,
        name: str,
        predictor: Predictor,
        *,
        version: str,
        card: str,
        decoders: Decoders,
        measure: Measure,
    ) -> None:
        self.name, self.version, self.card = name, version, card
        self.predictor = replace(predictor, head=for_small_batches(predictor.head))
        self.loaded = time.time()
        self._decoders, self._measure = decoders, measure
        self._waiting = SimpleQueue[_Job | None]()
        self._engine = predictor.extractor.engine
        self._users, self._retired = 0, False
        self._workers = [
            Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(self._engine.streams)
        ]
        self._known_rules: dict[AnswerOptions, AnswerRules] = {}

    def start(self) -> None:
        """Answer once with each size of batch, the first of which take longer; then be ready."""
        side, rules = self.predictor.extractor.preprocess.size, self._rules(AnswerOptions())
        for count in range(1, self._engine.batch_size + 1):
            features = self.predictor.features_of(np.zeros((count, side, side, 3), np.uint8))
            list(self.predictor.answers(features, [""] * count, 1, rules))
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

    def check(self, options: AnswerOptions) -> None:
        """Check that the model can do what is asked for.

        Raises:
            OptionError: It cannot.
        """
        self._rules(options)

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
                pixels = self._prepared(name, image)
            except Exception as error:
                _end(future, error)
            else:
                self._waiting.put(_Job(name, pixels, asked, future))

        self._decoders.submit(prepare)
        return future

    def heat_map(self, image: bytes | Pixels, prediction: AnyTaskPrediction) -> bytes:
        """Return a JPEG of an image with the heat map of its prediction drawn on it.

        Raises:
            UnreadableImage: It cannot be decoded.
        """
        # These need PyTorch, which is slow to import.
        from headstart.explanations.explaining import heat_pictures, label_to_explain

        label = label_to_explain(prediction)
        picture = heat_pictures(self.predictor, [image], [label], side=_HEAT_MAP_SIDE)[0]
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=85)
        return file.getvalue()

    def _prepared(self, name: str, image: bytes | Pixels) -> Pixels:
        """Return what the network reads."""
        preprocess = self.predictor.extractor.preprocess
        if isinstance(image, bytes):
            return self._decoders.decode(name, image, preprocess)
        return preprocess.pixels(Image.fromarray(image))

    def _rules(self, options: AnswerOptions) -> AnswerRules:
        """Return what to say about predictions. The rules of a few options are kept."""
        rules = self._known_rules.get(options)
        if rules is None:
            rules = self.predictor.limits.rules(options, self.predictor.thresholds)
            if len(self._known_rules) < _KEPT_RULES:
                self._known_rules[options] = rules
        return rules

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
        features = self.predictor.features_of(np.stack([job.pixels for job in jobs]))
        alike = defaultdict[Asked, list[tuple[_Job, Features]]](list)
        for job, row in zip(jobs, features, strict=True):
            alike[job.asked].append((job, row))
        for rows in alike.values():
            self._answer_alike(rows)
        self._measure(len(jobs), time.perf_counter() - begin)

    def _answer_alike(self, rows: Sequence[tuple[_Job, Features]]) -> None:
        """Answer images of which the same is asked."""
        asked = rows[0][0].asked
        features = np.stack([row for _, row in rows])
        names = [job.name for job, _ in rows]
        rules = self._rules(asked.options)
        predictions = self.predictor.answers(features, names, asked.options.top, rules)
        nearest = self._neighbours(features, asked.nearest)
        for (job, row), prediction, neighbours in zip(rows, predictions, nearest, strict=True):
            job.future.set_result(Answer(prediction, row, neighbours))

    def _neighbours(
        self, features: Features, count: int
    ) -> list[tuple[tuple[Neighbour, bytes | None], ...]]:
        """Return the similar training images of each image."""
        limits = self.predictor.limits
        if limits.known is None or not count:
            return [()] * len(features)
        found = limits.known.neighbours(features, count, among=limits.examples or None)
        return [tuple((one, limits.examples.get(one.sha256)) for one in each) for each in found]


def _end(future: Future[AnswerOrError], error: Exception) -> None:
    """Say why there is no answer, unless nobody waits for it any more."""
    if not future.set_running_or_notify_cancel():
        return
    if isinstance(error, UnreadableImage):
        future.set_result(error)
    else:
        future.set_exception(error)
