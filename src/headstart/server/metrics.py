"""What a server counts, for Prometheus."""

from __future__ import annotations

import os

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable with the folder in which worker processes count together."""

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counts requests, images and batches."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "headstart_requests",
            "Requests, by route and status.",
            ("route", "status"),
            registry=registry,
        )
        self.seconds = Histogram(
            "headstart_request_seconds",
            "Seconds from the first byte of a request to the end of its answer, by route.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.images = Counter(
            "headstart_images",
            "Images, by model or gallery and result: answered, unknown, unreadable or enrolled.",
            ("model", "result"),
            registry=registry,
        )
        self.waiting = Gauge(
            "headstart_waiting_images",
            "Images that wait or are computed.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.batches = Histogram(
            "headstart_batch_images",
            "Images, or tiles of images, that the network computed at a time.",
            buckets=_BATCHES,
            registry=registry,
        )
        self.batch_seconds = Histogram(
            "headstart_batch_seconds",
            "Seconds in which the network and the head computed a batch.",
            buckets=_SECONDS,
            registry=registry,
        )

    def batch(self, inputs: int, seconds: float) -> None:
        """Count a batch of images or tiles. Several threads may call this."""
        self.batches.observe(inputs)
        self.batch_seconds.observe(seconds)

    def text(self) -> bytes:
        """Return all numbers, those of the other worker processes included."""
        if os.environ.get(FOLDER):
            together = CollectorRegistry()
            multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
            return generate_latest(together)
        return generate_latest(self._registry)
