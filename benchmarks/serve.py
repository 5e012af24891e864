"""The server against the engine that it runs, and under load, on photos of solar cells.

python -m benchmarks.serve throughput FOLDER   16 clients, against the bare engine
python -m benchmarks.serve latency FOLDER      one image at a time, against predict in this process
python -m benchmarks.serve soak FOLDER         100,000 requests at 10, then 10,000 at 100 at a time
python -m benchmarks.serve overload FOLDER     only the latter
python -m benchmarks.serve stop FOLDER         SIGTERM under load, 50 times
python -m benchmarks.serve replace FOLDER      models replaced under load
python -m benchmarks.serve fuzz FOLDER         100,000 image files with random changes

Everything runs on this machine, over the loopback interface. The clients compare each answer with
that of `predict` in this process, up to what the size of a batch changes: 1e-4 of a probability, as
heads compute in float32. FOLDER keeps the models between calls.
"""

from __future__ import annotations

import asyncio
import dataclasses
import http.client
import io
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import psutil
from PIL import Image
from threadpoolctl import threadpool_limits

import headstart as hs
from benchmarks import load
from benchmarks.load import Outcome, Sample
from benchmarks.machine import describe
from headstart.commands.demo import write_solar_cells
from headstart.heads.small_batches import for_small_batches
from headstart.options import AnswerOptions
from headstart.predictor.predictor import Predictor

SIDE, SAMPLES, BATCH = 224, 256, 5
BACKBONES = {"efficientnet-lite0": "imagenet", "resnet50": "random"}


def throughput(root: Path) -> None:
    """Compare images per second with what the engine, decoding and the clients allow."""
    print(f"machine: {describe()}\n")
    print(
        "| network, head | requests | engine alone, images/s | decoding, ms | client, ms | limit "
        "| head, ms | server | of the limit | of the limit with the head | wrong |"
    )
    print("| --- " * 11 + "|")
    for name, head in (*((name, "auto") for name in BACKBONES), ("efficientnet-lite0", "linear")):
        run = _model(root, name, head=head)
        predictor = hs.load(run, cache=root)
        samples = _samples(root, predictor)
        engine, decoding = _engine_rate(predictor, samples), _decoding(predictor, samples)
        client = _client_cost(samples)
        # The cores compute, decode and ask in turn; nothing else is needed.
        limit = 1 / (1 / engine + (decoding + client) / os.cpu_count())
        answering = _head_cost(predictor)
        with_head = 1 / (1 / limit + answering / os.cpu_count())
        with Server(root, [str(run)]) as server:
            count = max(500, round(engine * 15))
            _in_process(server.port, samples, clients=16, requests=count // 3)
            found = _in_process(server.port, samples, clients=16, requests=count)
        print(
            f"| {name}, {head} | {count} | {engine:.0f} | {decoding * 1000:.2f} "
            f"| {client * 1000:.2f} | {limit:.0f} | {answering * 1000:.2f} | {found.rate:.0f} "
            f"| {found.rate / limit:.2f} | {found.rate / with_head:.2f} "
            f"| {len(found.wrong)} of {found.statuses.total()} |",
            flush=True,
        )


def latency(root: Path) -> None:
    """Compare one image at a time: in process, then through the server."""
    print(f"machine: {describe()}\n")
    print("| network | predict, ms | server, ms | more |")
    print("| --- " * 4 + "|")
    for name in BACKBONES:
        run = _model(root, name)
        predictor = hs.load(run, cache=root)
        samples = _samples(root, predictor)
        with Server(root, [str(run)]) as server:
            inside, through = [], []
            for _ in range(4):  # In turns, because the machine is shared.
                for sample in samples[:50]:
                    begin = time.perf_counter()
                    predictor.predict(sample.body)
                    inside.append(time.perf_counter() - begin)
                through += _in_process(server.port, samples[:50], clients=1, requests=50).latencies
        one, other = (1000 * statistics.median(values) for values in (inside, through))
        print(f"| {name} | {one:.1f} | {other:.1f} | {other - one:+.1f} |", flush=True)


def soak(root: Path, requests: int = 100_000) -> None:
    """Ask very often, and watch answers, memory and liveness."""
    print(f"machine: {describe()}\n")
    run = _model(root, "efficientnet-lite0")
    samples = _samples(root, hs.load(run, cache=root))
    with Server(root, [str(run)]) as server:
        warm = _in_process(server.port, samples, clients=10, requests=requests // 20)
        before = server.megabytes()
        ten, alive = asyncio.run(_watched(server.port, samples, 10, requests))
        after = server.megabytes()
        print("| clients | requests | answered | refused | wrong | images/s | p50, ms | p99, ms |")
        print("| --- " * 8 + "|")
        _print_load(10, ten)
        print(
            f"\nmemory after {warm.statuses.total()} requests {before:.0f} MB, after {requests} "
            f"more {after:.0f} MB ({after / before - 1:+.1%})"
        )
        _print_liveness(10, alive)
    overload(root)


def overload(root: Path, requests: int = 10_000) -> None:
    """Ask with more clients than the server takes on; each asks again as soon as it is refused."""
    run = _model(root, "efficientnet-lite0")
    samples = _samples(root, hs.load(run, cache=root))
    with Server(root, [str(run)]) as server:
        _in_process(server.port, samples, clients=10, requests=500)
        hundred, busy = asyncio.run(_watched(server.port, samples, 100, requests))
        _print_load(100, hundred)
    print()
    _print_liveness(100, busy)
    quantiles = [hundred.quantile(share, hundred.refused) for share in (0.5, 0.99, 1)]
    print("refusals: p50 {:.1f} ms, p99 {:.1f} ms, longest {:.1f} ms".format(*quantiles))


def _print_liveness(clients: int, seconds: Sequence[float]) -> None:
    p50, p99, longest = (1000 * float(np.quantile(seconds, share)) for share in (0.5, 0.99, 1))
    print(
        f"liveness with {clients} clients: p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest "
        f"{longest:.0f} ms, {len(seconds)} times"
    )


def stop(root: Path, times: int = 50) -> None:
    """Stop a server under load; each request whose body it had read must be answered."""
    print(f"machine: {describe()}\n")
    run = _model(root, "efficientnet-lite0")
    samples = _samples(root, hs.load(run, cache=root))
    read = answered = lost = 0
    codes = set[int]()
    for _ in range(times):
        with Server(root, [str(run)]) as server:
            context = multiprocessing.get_context("spawn")
            results = context.Queue()
            child = context.Process(
                target=load.run,
                args=(results.put, server.port, samples),
                kwargs={"clients": 16, "requests": 100_000},
            )
            child.start()
            server.wait_for_requests(random.randint(20, 200))
            server.process.send_signal(signal.SIGTERM)
            codes.add(server.process.wait(60))
            outcome = results.get(timeout=60)
            child.join()
            logged = server.answered()
            read += len(logged)
            answered += len(outcome.ids)
            lost += len(logged - outcome.ids)
    print(
        f"{times} stops: {read} requests read, {answered} answers received, {lost} lost; "
        f"exit codes {sorted(codes)}"
    )


def replace(root: Path, seconds: float = 60) -> None:
    """Replace a model again and again under load; no answer may be wrong or of two models."""
    print(f"machine: {describe()}\n")
    runs = [_model(root, "efficientnet-lite0"), _model(root, "efficientnet-lite0", seed=1)]
    each = [_samples(root, hs.load(run, cache=root)) for run in runs]
    folder = root / "replaced"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(runs[0] / "bundle", folder)
    replaced, number = 0, 0
    with Server(root, [f"cells={folder}"]) as server:
        context = multiprocessing.get_context("spawn")
        results = context.Queue()
        child = context.Process(target=_ask_either, args=(results.put, server.port, each, seconds))
        child.start()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            number = 1 - number
            partial = root / "replacement"
            shutil.copytree(runs[number] / "bundle", partial)
            old = root / "old"
            folder.rename(old)
            partial.rename(folder)
            shutil.rmtree(old)
            replaced += 1
            time.sleep(random.uniform(3, 6))
        statuses, wrong, versions = results.get(timeout=60)
        child.join()
    print(
        f"{replaced} replacements in {seconds:.0f} s: statuses {statuses}, wrong {wrong}, "
        f"answers by version {versions}"
    )


def _ask_either(send: Any, port: int, each: Sequence[Sequence[Sample]], seconds: float) -> None:
    """Ask with eight threads; an answer must be that of the model that it names."""

    statuses, versions, wrong = Counter[int](), Counter[str](), Counter[str]()
    seen: dict[str, int] = {}

    def work(first: int) -> None:

        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        end, number = time.perf_counter() + seconds, first
        while time.perf_counter() < end:
            number = (number + 1) % len(each[0])
            body = each[0][number].body
            connection.request("POST", "/predict", body, {"Content-Type": "image/jpeg"})
            response = connection.getresponse()
            answer = json.loads(response.read())
            statuses[response.status] += 1
            if response.status != 200:
                continue
            version = response.headers["X-Model-Version"]
            versions[version] += 1
            matches = [
                kind
                for kind, samples in enumerate(each)
                if abs(samples[number].probability - answer[0]["probability"]) <= load.TOLERANCE
                and samples[number].label == answer[0]["label"]
            ]
            if not matches:
                wrong["neither"] += 1
            elif len(matches) == 1 and seen.setdefault(version, matches[0]) != matches[0]:
                wrong["of the other model"] += 1

    threads = [threading.Thread(target=work, args=(number * 7,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    send((dict(statuses), dict(wrong), dict(versions)))


def fuzz(root: Path, count: int = 100_000) -> None:
    """Send image files with random changes; none may fail the server, or leave a file anywhere."""

    from tests.data.mutations import SAMPLES, mutate

    print(f"machine: {describe()}\n")
    print("| format | files | answered | unreadable | other statuses | seconds |")
    print("| --- " * 6 + "|")
    run = _model(root, "efficientnet-lite0")
    work = root / "fuzz"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    names = list(SAMPLES)
    with Server(root, [str(run)], folder=work) as server:
        before, memory = _files_near(root, work), server.megabytes()
        for name in names:
            begin, results = time.perf_counter(), Counter[str]()
            samples, chance = SAMPLES[name](), random.Random(name)
            for _ in range(0, count // len(names), _FORM):
                files = [mutate(chance.choice(samples), chance) for _ in range(_FORM)]
                results += _ask_form(server.port, files)
            others = {key: value for key, value in results.items() if key.isdigit()}
            print(
                f"| {name} | {sum(results.values())} | {results['answered']} "
                f"| {results['unreadable']} | {others or 'none'} "
                f"| {time.perf_counter() - begin:.0f} |",
                flush=True,
            )
        new = _files_near(root, work) - before
        print(f"\nfiles that are new or changed: {sorted(new) or 'none'}")
        print(f"memory from {memory:.0f} MB to {server.megabytes():.0f} MB")
        print("alive" if server.process.poll() is None else "dead")


_FORM = 20
"""Files in one request."""


def _ask_form(port: int, files: Sequence[bytes]) -> Any:
    """Send files in a form, and count what becomes of them."""

    boundary = b"between-the-files"
    head = b'--%b\r\nContent-Disposition: form-data; name="images"; filename="x"\r\n\r\n' % boundary
    body = b"".join(head + data + b"\r\n" for data in files) + b"--%b--\r\n" % boundary
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary.decode()}"}
    connection.request("POST", "/predict", body, kind)
    response = connection.getresponse()
    values = json.loads(response.read())
    connection.close()
    if response.status == 422 and "images" in values:
        return Counter({"unreadable": len(values["images"])})
    if response.status != 200:
        return Counter({str(response.status): len(files)})
    return Counter("unreadable" if "error" in value else "answered" for value in values)


def _files_near(root: Path, work: Path) -> set[tuple[str, int]]:
    """Return the files, with their times, where a server might write.

    Its current folder, its home and the one for temporary files are the same here.
    """
    places = (root, work)
    found = set()
    for place in places:
        for folder, folders, names in os.walk(place):
            folders[:] = [one for one in folders if not one.startswith((".", "node_modules"))]
            for name in names:
                path = Path(folder, name)
                if path.name != "server.log" and path.exists():
                    found.add((str(path), path.stat().st_mtime_ns))
    return found


class Server:
    """A server in a process of its own, for the time of a with block."""

    def __init__(
        self, root: Path, models: Sequence[str], *options: str, folder: Path | None = None
    ) -> None:
        self._log, self._folder = root / "server.log", folder
        places = {name: str(folder) for name in ("HOME", "TMPDIR") if folder}
        self._env = {**os.environ, **places}
        command = [sys.executable, "-m", "headstart", "serve", *models, "--cache", str(root)]
        self._command = [*command, "--port", "0", *options]

    def __enter__(self) -> Self:
        self._file = self._log.open("wb")
        self.process = subprocess.Popen(
            self._command, stderr=self._file, stdout=self._file, cwd=self._folder, env=self._env
        )
        for _ in range(1200):
            found = re.search(rb"http://localhost:(\d+)", self._log.read_bytes())
            if found:
                self.port = int(found[1])
                if self._is_ready():
                    return self
            if self.process.poll() is not None:
                raise RuntimeError(self._log.read_text())
            time.sleep(0.1)
        raise RuntimeError("The server did not start.")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(60)
        self._file.close()

    def megabytes(self) -> float:
        """Return the memory of the server."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / 1e6

    def answered(self) -> set[str]:
        """Return the identifiers of the predictions in the log that were answered with 200."""
        lines = [line for line in self._log.read_text().splitlines() if line.startswith("{")]
        values = map(json.loads, lines)
        return {
            one["request"]
            for one in values
            if one.get("route") == "/predict" and one["status"] == 200
        }

    def wait_for_requests(self, count: int) -> None:
        """Wait until so many predictions are in the log."""
        while self._log.read_bytes().count(b'"route": "/predict"') < count:
            time.sleep(0.005)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://localhost:{self.port}/readyz", timeout=5):
                return True
        except OSError:
            return False


def _model(root: Path, name: str, seed: int = 0, head: str = "auto") -> Path:
    """Return a run on photos of solar cells, trained once; random weights without real ones."""
    run = root / (f"{name}-{seed}" if head == "auto" else f"{name}-{seed}-{head}")
    if not run.exists():
        hs.train(
            _photos(root),
            backbone=name,
            weights=BACKBONES[name],
            image_size=SIDE,
            seed=seed,
            head=head,
            out=run,
            cache=root,
            progress=False,
        )
    return run


def _photos(root: Path) -> Path:
    """Return a table of JPEG files of 224 x 224 pixels."""
    table = write_solar_cells(root / "cells")
    small = root / "small"
    if not small.exists():
        import pyarrow.csv as csv

        rows = csv.read_csv(table)
        partial = root / "small.partial"
        partial.mkdir(exist_ok=True)
        for path in rows["path"].to_pylist():
            with Image.open(Path(table).parent / path) as image:
                image.convert("RGB").resize((SIDE, SIDE)).save(
                    partial / f"{Path(path).stem}.jpg", quality=90
                )
        lines = [
            f"{Path(path).stem}.jpg,{label}"
            for path, label in zip(rows["path"].to_pylist(), rows["label"].to_pylist(), strict=True)
        ]
        (partial / "cells.csv").write_text("\n".join(["path,label", *lines]) + "\n")
        partial.rename(small)
    return small / "cells.csv"


def _samples(root: Path, predictor: Predictor) -> list[Sample]:
    """Return files with the answers of the model in this process."""
    files = sorted((root / "small").glob("*.jpg"))[:: 2624 // SAMPLES][:SAMPLES]
    bodies = [file.read_bytes() for file in files]
    answers = predictor.predict(bodies)
    return [
        Sample(body, one.label, one.probability) for body, one in zip(bodies, answers, strict=True)
    ]


def _engine_rate(predictor: Predictor, samples: Sequence[Sample]) -> float:
    """Return images per second of the engine, on arrays that are ready; the best of three."""
    engine, preprocess = predictor.extractor.engine, predictor.extractor.preprocess
    pixels = np.stack(
        [preprocess.pixels(Image.open(io.BytesIO(one.body)).convert("RGB")) for one in samples]
    )
    size = engine.batch_size
    batches = [pixels[start : start + size] for start in range(0, len(pixels), size)]
    list(engine.run(batches[:4]))
    rates = []
    for _ in range(3):
        begin = time.perf_counter()
        list(engine.run(batches))
        rates.append(len(pixels) / (time.perf_counter() - begin))
    return max(rates)


def _decoding(predictor: Predictor, samples: Sequence[Sample]) -> float:
    """Return the seconds of one core per image."""
    from headstart.data.decoding import decode_image

    preprocess = predictor.extractor.preprocess
    begin = time.process_time()
    for sample in samples:
        preprocess.pixels(decode_image(sample.body, min_side=preprocess.min_side))
    return (time.process_time() - begin) / len(samples)


def _head_cost(predictor: Predictor) -> float:
    """Return the seconds of one core per image that the head needs, in batches as they form."""
    head = for_small_batches(predictor.head)
    side = predictor.extractor.preprocess.size
    features = predictor.features_of(np.zeros((BATCH, side, side, 3), np.uint8))
    served = dataclasses.replace(predictor, head=head)
    rules = predictor.limits.rules(AnswerOptions(), predictor.thresholds)
    with threadpool_limits(1, user_api="blas"):
        list(served.answers(features, [""] * BATCH, 5, rules))
        begin = time.process_time()
        for _ in range(50):
            list(served.answers(features, [""] * BATCH, 5, rules))
    return (time.process_time() - begin) / 50 / BATCH


def _client_cost(samples: Sequence[Sample]) -> float:
    """Return the seconds of one core per request that the clients need themselves."""

    class Instant(asyncio.Protocol):
        """Answers at once, when a request has arrived."""

        def connection_made(self, transport: Any) -> None:
            self._transport, self._missing = transport, 0

        def data_received(self, data: bytes) -> None:
            if not self._missing:
                head, _, body = data.partition(b"\r\n\r\n")
                self._missing = int(head.rsplit(b"Content-Length: ", 1)[1]) - len(body)
            else:
                self._missing -= len(data)
            if not self._missing:
                self._transport.write(answer)

    first = samples[0]
    body = json.dumps(
        [{"image": "image", "label": first.label, "probability": first.probability, "top": []}]
    ).encode()
    answer = (
        b"HTTP/1.1 200 OK\r\nX-Request-ID: 0123456789abcdef\r\nContent-Length: %d\r\n\r\n%b"
        % (len(body), body)
    )

    async def serve(port: Any) -> None:
        server = await asyncio.get_running_loop().create_server(Instant, "127.0.0.1", 0)
        port.put(server.sockets[0].getsockname()[1])
        await asyncio.sleep(60)

    context = multiprocessing.get_context("fork")
    ports = context.Queue()
    child = context.Process(target=lambda: asyncio.run(serve(ports)), daemon=True)
    child.start()
    begin = time.process_time()
    asyncio.run(load.ask(ports.get(), [first], clients=16, requests=5000))
    seconds = (time.process_time() - begin) / 5000
    child.kill()
    return seconds


def _in_process(port: int, samples: Sequence[Sample], **named: int) -> Outcome:
    """Ask from another process."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    child = context.Process(
        target=load.run, args=(results.put, port, samples), kwargs=named, daemon=True
    )
    child.start()
    outcome: Outcome = results.get()
    child.join()
    return outcome


async def _watched(
    port: int, samples: Sequence[Sample], clients: int, requests: int
) -> tuple[Outcome, list[float]]:
    """Ask from another process, and watch from this one whether the server is alive."""
    stop = asyncio.Event()
    watching = asyncio.create_task(load.watch_liveness(port, stop))
    outcome = await asyncio.to_thread(
        _in_process, port, samples, clients=clients, requests=requests
    )
    stop.set()
    return outcome, await watching


def _print_load(clients: int, found: Outcome) -> None:
    refused = found.statuses.total() - found.statuses[200]
    print(
        f"| {clients} | {found.statuses.total()} | {found.statuses[200]} | {refused} "
        f"| {len(found.wrong)} | {found.rate:.0f} | {found.quantile(0.5):.0f} "
        f"| {found.quantile(0.99):.0f} |",
        flush=True,
    )


if __name__ == "__main__":
    {
        "throughput": throughput,
        "latency": latency,
        "soak": soak,
        "overload": overload,
        "stop": stop,
        "replace": replace,
        "fuzz": fuzz,
    }[sys.argv[1]](Path(sys.argv[2]), *map(int, sys.argv[3:]))
