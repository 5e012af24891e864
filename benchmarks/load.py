"""A client that asks a server at full speed over many connections, and checks every answer.

It costs little itself, as it shares the machine with the server: requests are prepared once, and of
a response only the length and the body are looked at.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

TOLERANCE = 1e-4
"""A probability may differ by so much: heads compute in float32, in batches of several sizes."""


@dataclass(frozen=True)
class Sample:
    """A request and its only right answer.

    Attributes:
        body: An image file.
        label: The label.
        probability: Its probability.
    """

    body: bytes
    label: str
    probability: float


@dataclass
class Outcome:
    """What became of many requests.

    Attributes:
        seconds: Their total duration.
        statuses: How often each status was answered; 0 where the connection ended.
        wrong: Answers that differ from the right one.
        latencies: The seconds of each answered request.
        refused: The seconds of each refused request.
        ids: The identifiers of answered requests.
    """

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    @property
    def rate(self) -> float:
        """Answered requests per second."""
        return self.statuses[200] / self.seconds

    def quantile(self, share: float, of: Sequence[float] | None = None) -> float:
        """A quantile of the latencies, in milliseconds."""
        values = self.latencies if of is None else of
        return float(np.quantile(values, share)) * 1000 if values else float("nan")


def request_bytes(body: bytes, path: str = "/predict") -> bytes:
    """Return a request whose body is an image file."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Connection(asyncio.Protocol):
    """One client: sends a request, waits for the answer, sends the next."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._received = bytearray()
        self._sample: Sample | None = None
        self._begin = 0.0
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._received[:end]).lower()
        size = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(self._received) < end + 4 + size:
            return
        body = bytes(self._received[end + 4 : end + 4 + size])
        del self._received[: end + 4 + size]
        assert self._sample
        self._load.note(head, body, self._sample, time.perf_counter() - self._begin)
        self._sample = None
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._sample is not None:
            self._load.outcome.statuses[0] += 1
        if not self.ended.done():
            self.ended.set_result(None)

    def _next(self) -> None:
        if not self._load.left:
            self._transport.close()
            return
        self._load.left -= 1
        self._sample = self._load.samples[self._load.left % len(self._load.samples)]
        self._begin = time.perf_counter()
        self._transport.write(self._load.prepared[id(self._sample)])


class _Load:
    def __init__(self, samples: Sequence[Sample], requests: int, path: str) -> None:
        self.samples, self.left = samples, requests
        self.prepared = {id(sample): request_bytes(sample.body, path) for sample in samples}
        self.outcome = Outcome()

    def note(self, head: bytes, body: bytes, sample: Sample, seconds: float) -> None:
        status = int(head[9:12])
        self.outcome.statuses[status] += 1
        if status != 200:
            self.outcome.refused.append(seconds)
            return
        self.outcome.latencies.append(seconds)
        self.outcome.ids.add(
            head.split(b"x-request-id:", 1)[1].split(b"\r\n", 1)[0].strip().decode()
        )
        (answer,) = json.loads(body)
        near = abs(answer["probability"] - sample.probability) <= TOLERANCE
        if answer["label"] != sample.label or not near:
            self.outcome.wrong.append(f"{answer} instead of {sample.label} {sample.probability}")


async def ask(
    port: int, samples: Sequence[Sample], *, clients: int, requests: int, path: str = "/predict"
) -> Outcome:
    """Ask with so many clients at a time until all requests are answered."""
    load, loop = _Load(samples, requests, path), asyncio.get_running_loop()
    begin = time.perf_counter()
    while load.left:
        pairs = await asyncio.gather(
            *(
                loop.create_connection(lambda: _Connection(load), "127.0.0.1", port)
                for _ in range(min(clients, load.left))
            ),
            return_exceptions=True,
        )
        connections = [pair[1] for pair in pairs if not isinstance(pair, BaseException)]
        if not connections:
            break
        await asyncio.gather(*(connection.ended for connection in connections))
    load.outcome.seconds = time.perf_counter() - begin
    return load.outcome


def run(send: Callable[[Outcome], None], *arguments: Any, **named: Any) -> None:
    """Ask in a process of its own, and send the outcome."""
    send(asyncio.run(ask(*arguments, **named)))


async def watch_liveness(port: int, stop: asyncio.Event, every: float = 0.02) -> list[float]:
    """Return the seconds of each answer of /healthz, asked on one connection until told to stop."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    seconds = []
    while not stop.is_set():
        begin = time.perf_counter()
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        await reader.readexactly(size)
        seconds.append(time.perf_counter() - begin)
        await asyncio.sleep(every)
    writer.close()
    return seconds
