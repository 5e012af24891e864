"""A Ray cluster against one process, and nodes that die.

    python -m benchmarks.cluster overhead [IMAGES]
    python -m benchmarks.cluster extraction [KILLS]
    python -m benchmarks.cluster prediction [KILLS]
    python -m benchmarks.cluster tuning [KILLS]
    python -m benchmarks.cluster drivers-predicting [KILLS]
    python -m benchmarks.cluster drivers-tuning [KILLS]
    python -m benchmarks.cluster memory [IMAGES]

overhead: features of pictures of clothes by two workers with a core each, and by one process with
    two threads; each with an empty store.
extraction, prediction: one of three nodes is killed at a random moment of an extraction, or of a
    batch prediction; the result must be that of one process, with each image once.
tuning: one of three nodes is killed at a random moment of fine-tuning; the losses must be those of
    one process, up to rounding.
drivers-predicting, drivers-tuning: the command itself is killed while it predicts, or fine-tunes;
    the same command must end with the same file, or with the losses of an undisturbed run, up to
    rounding.
memory: the most memory that the command and a worker take, not shared with others, for 10,000
    made-up images and for many more; a batch prediction, and a training with a streamed head.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")

import numpy as np
import psutil
from PIL import Image
from ray.cluster_utils import Cluster as Nodes

import headstart as hs
from benchmarks.fashion import write_fashion
from benchmarks.machine import describe
from headstart.arrays import Features
from headstart.backbones.backbone import load_backbone
from headstart.cluster.cluster import Cluster
from headstart.cluster.joining import joined
from headstart.data.images import Images
from headstart.features.extractor import FeatureExtractor
from headstart.features.store import FeatureStore
from headstart.files import file_sha256
from headstart.options import TuneOptions
from headstart.record import Record
from headstart.tuning.training.loop import Monitoring, Train, TrainingResult, train_here
from headstart.tuning.training.setup import Setup
from headstart.watching import LibraryWatcher, SilentWatcher

HEADSTART = str(Path(sys.executable).with_name("headstart"))
_NODE = {"num_cpus": 1, "object_store_memory": 200 * 1024**2}


def overhead(images: int) -> None:
    """Print images per second of both ways, and of the cluster without its start."""
    with tempfile.TemporaryDirectory() as folder:
        files = _clothes(Path(folder) / "photos", images)
        one, many = _extractor(Path(folder) / "one"), _extractor(Path(folder) / "many")
        _ = one.precision, many.precision  # Timing float32 and bf16 is the same work in both.
        begin = time.perf_counter()
        expected, _ = one.of_files(files)
        alone = time.perf_counter() - begin
        begin, first = time.perf_counter(), list[tuple[float, int]]()
        with joined("local", SilentWatcher()) as cluster:
            assert cluster
            cluster.extract(
                many, files, progress=lambda done, _: first.append((time.perf_counter(), done))
            )
        found, _ = many.of_files(files)
        shared = time.perf_counter() - begin
        (start, done), (end, total) = first[0], first[-1]
        steady = (total - done) / (end - start)
        print(f"- one process: {images / alone:.0f} images/s ({alone:.1f} s)")
        print(f"- two workers: {images / shared:.0f} images/s ({shared:.1f} s, start included)")
        print(f"- ratio: {alone / shared:.2f}; without the start {steady * alone / images:.2f}")
        print(f"- equal to the bit: {np.array_equal(found, expected)}")


def extraction(count: int) -> None:
    """Kill a node at random moments, and count the stores that are as undisturbed."""
    generator = random.Random(0)
    with tempfile.TemporaryDirectory() as folder, _cluster() as nodes:
        root = Path(folder)
        files = _clothes(root / "photos", 6000)
        expected, _ = _extractor(root / "one").of_files(files)
        seconds, right, hit = 15.0, 0, 0
        for number in range(count):
            made = _extractor(root / f"cache-{number}")
            begin = time.perf_counter()
            with _one_dies(nodes, generator.uniform(0, seconds)) as died:
                with joined(nodes.address, SilentWatcher()) as cluster:
                    assert cluster
                    cluster.extract(made, files)
                hit += died.is_set()
            seconds = time.perf_counter() - begin
            found, _ = made.of_files(files)
            (info,) = FeatureStore(made.cache / "features").infos()
            right += np.array_equal(found, expected) and info.images == len(files)
            print(f"  kill {number + 1}: {seconds:.0f} s, {right} right of {hit} hit", flush=True)
        print(f"- extraction, a node killed: {right} of {count} as undisturbed, {hit} in time")


def prediction(count: int) -> None:
    """Kill a node at random moments, and count the files that are as undisturbed."""
    generator = random.Random(0)
    with tempfile.TemporaryDirectory() as folder, _cluster() as nodes:
        root = Path(folder)
        run, whole = _predicted(root)
        seconds, right, hit = 15.0, 0, 0
        for number in range(count):
            out = root / f"predictions-{number}.csv"
            begin = time.perf_counter()
            with _one_dies(nodes, generator.uniform(0, seconds)) as died:
                hs.predict(run, root / "photos", out=out, cluster=nodes.address, progress=False)
                hit += died.is_set()
            seconds = time.perf_counter() - begin
            right += out.read_bytes() == whole
            print(f"  kill {number + 1}: {seconds:.0f} s, {right} right of {hit} hit", flush=True)
        print(f"- batch prediction, a node killed: {right} of {count} equal, {hit} in time")


def drivers_predicting(count: int) -> None:
    """Kill the command at random moments; run it again, and compare the files."""
    generator = random.Random(1)
    with tempfile.TemporaryDirectory() as folder, _cluster() as nodes:
        root = Path(folder)
        run, whole = _predicted(root)
        right = 0
        for number in range(count):
            out = root / f"predictions-{number}.csv"
            command = [HEADSTART, "predict", str(run), str(root / "photos"), "--out", str(out)]
            command += ["--cluster", nodes.address]
            _kill(command, generator.uniform(8, 20))
            parts = len(list(root.glob(f"{out.name}.partial/part-*")))
            _run(command)
            right += out.read_bytes() == whole
            print(f"  driver {number + 1}: {parts} parts were kept, {right} right", flush=True)
        print(f"- batch prediction, the command killed: {right} of {count} equal")


def drivers_tuning(count: int) -> None:
    """Kill the command at random moments; run it again, and compare the losses."""
    generator = random.Random(2)
    with tempfile.TemporaryDirectory() as folder, _cluster() as nodes:
        root = Path(folder)
        # From 800 images, one part is held out, and the network is trained twice.
        table = str(write_fashion(root / "few", train=1000, test=200))
        command = [HEADSTART, "train", table, "--image-size", "96", "--tune", "stages:1"]
        command += ["--epochs", "3", "--precision", "float32", "--head", "linear"]
        command += ["--deterministic", "--cluster", nodes.address]
        command += ["--cache", str(root / "cache"), "--resume", "--out"]
        begin = time.perf_counter()
        _run([*command, str(root / "calm")])
        seconds = time.perf_counter() - begin
        calm = _recorded_losses(root / "calm")
        for number in range(count):
            here = [*command, str(root / f"tuned-{number}")]
            after = generator.uniform(0.4, 1) * seconds
            if not _kill(here, after):
                print(
                    f"  the command had ended before it was killed after {after:.0f} s", flush=True
                )
                seconds = after
                continue
            _run(here)
            difference = np.abs(_recorded_losses(root / f"tuned-{number}") / calm - 1).max()
            print(
                f"- fine-tuning of {seconds:.0f} s, the command killed after {after:.0f} s: "
                f"losses differ by up to {difference:.1e}",
                flush=True,
            )


def tuning(count: int) -> None:
    """Kill a node at random moments of fine-tuning, and compare the losses with one process."""
    generator = random.Random(2)
    with tempfile.TemporaryDirectory() as folder, _cluster() as nodes:
        root = Path(folder)
        write_fashion(root / "photos", train=600, test=200)
        opened = hs.open_images(root / "photos" / "fashion.csv", cache=root / "cache")
        alone = _losses(opened, root / "alone", train_here)
        taken = list[float]()

        def train_on(cluster: Cluster, kill: bool) -> Train:
            def train(setup: Setup, monitoring: Monitoring) -> TrainingResult:
                begin = time.perf_counter()
                after = generator.uniform(0, taken[0]) if kill else 1e6
                with _one_dies(nodes, after) as died:
                    result = cluster.train(setup, monitoring)
                    taken.append(time.perf_counter() - begin)
                    killed = f", a node killed after {after:.0f} s: {died.is_set()}" if kill else ""
                    print(f"  {taken[-1]:.0f} s{killed}", flush=True)
                return result

            return train

        for number in range(count + 1):
            warnings = list[str]()
            with joined(nodes.address, LibraryWatcher(warn=warnings.append)) as cluster:
                assert cluster
                found = _losses(opened, root / f"tuned-{number}", train_on(cluster, number > 0))
            difference = float(np.abs(found / alone - 1).max())
            print(
                f"- training {number}: losses differ by up to {difference:.1e}; {warnings}",
                flush=True,
            )


def memory(images: int) -> None:
    """Print the most memory of the command and of a worker for 10,000 images and for many."""
    print("| images | command | seconds | memory of the command, MB | of a worker |")
    print("| --- " * 5 + "|")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for count in (10_000, images):
            photos, run = _made_up(root / str(count), count), str(root / f"run-{count}")
            shared = ("--cluster", "local", "--cache", str(root / f"cache-{count}"), "--out")
            streamed = ("--head", "linear", "--features", "last", "--head-memory", "0.1")
            commands = {
                "train": ("train", photos, "--image-size", "32", *streamed, *shared, run),
                "predict": ("predict", run, photos, *shared, str(root / f"{count}.parquet")),
            }
            for name, arguments in commands.items():
                begin = time.perf_counter()
                command, worker = _peaks((HEADSTART, *arguments))
                seconds = time.perf_counter() - begin
                print(
                    f"| {count:,} | {name} | {seconds:.0f} | {command / 1e6:,.0f} | "
                    f"{worker / 1e6:,.0f} |",
                    flush=True,
                )


def _predicted(root: Path) -> tuple[Path, bytes]:
    """Return a run, and what one process predicts for `root`'s photos."""
    _clothes(root / "photos", 6000)
    quick = {"head": "linear", "features": "last", "progress": False}
    model = hs.train(root / "photos" / "fashion.csv", out=root / "run", **quick)
    whole = root / "whole.csv"
    hs.predict(model.run, root / "photos", out=whole, progress=False)
    return model.run, whole.read_bytes()


def _run(command: Sequence[str]) -> None:
    """Run a command; if it fails, show why."""
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def _kill(command: Sequence[str], after: float) -> bool:
    """Start a command and kill it after some seconds; return whether it still ran."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after)
    running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return running


def _recorded_losses(run: Path) -> Features:
    """Return the losses of all epochs of a run, (epochs, 2)."""
    tuned = Record.read(run).tuning
    assert tuned
    return np.array([(epoch.train_loss, epoch.val_loss) for epoch in tuned.epochs])


def _peaks(command: Sequence[str]) -> tuple[int, int]:
    """Run a command; return the most bytes of it, and of one of the workers that it starts."""
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    own = workers = 0
    while process.poll() is None:
        for each in [process, *process.children(recursive=True)]:
            with suppress(psutil.Error):
                bytes_of = each.memory_full_info().uss
                if each == process:
                    own = max(own, bytes_of)
                elif each.name().startswith("ray::"):
                    workers = max(workers, bytes_of)
        time.sleep(0.5)
    assert process.returncode == 0, command
    return own, workers


def _made_up(folder: Path, count: int) -> str:
    """Write small pictures of smooth noise in two classes, no two of which are alike."""
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        noise = Image.fromarray(generator.integers(0, 256, (4, 5, 3), dtype=np.uint8))
        noise.resize((40, 32), Image.Resampling.NEAREST).save(
            folder / "ab"[number % 2] / f"{number}.png"
        )
    return str(folder)


def _losses(opened: Images, folder: Path, trainer: Train) -> Features:
    """Fine-tune, and return the losses of all epochs, (epochs, 2)."""
    options = TuneOptions(epochs=3, deterministic=True)
    model = hs.Classifier(
        *(load_backbone(), hs.LinearHead()),
        classes=opened.classes,
        precision="float32",
        cache=folder.parent / "cache",
    )
    record = model.fit(opened.train, progress=False).tune(
        *(opened.train, options),
        val=opened.test,
        part="stages:1",
        keep="always",
        checkpoints=folder,
        watcher=SilentWatcher(),
        trainer=trainer,
    )
    assert record
    return np.array([(epoch.train_loss, epoch.val_loss) for epoch in record.epochs])


@contextmanager
def _cluster() -> Iterator[Nodes]:
    """Yield a head without cores and three nodes with one core each."""
    head = {**_NODE, "num_cpus": 0, "include_dashboard": False, "node_ip_address": "127.0.0.1"}
    nodes = Nodes(initialize_head=True, head_node_args=head)
    try:
        for number in (2, 3, 4):
            nodes.add_node(**_NODE, node_ip_address=f"127.0.0.{number}")
        yield nodes
    finally:
        nodes.shutdown()


@contextmanager
def _one_dies(nodes: Nodes, after: float) -> Iterator[threading.Event]:
    """Kill the youngest node after some seconds; there are three again afterwards."""
    died = threading.Event()

    def kill() -> None:
        died.set()
        nodes.remove_node(nodes.list_all_nodes()[-1], allow_graceful=False)

    timer = threading.Timer(after, kill)
    timer.start()
    try:
        yield died
    finally:
        timer.cancel()
        timer.join()
    if died.is_set():
        address = f"127.0.0.{random.randint(5, 250)}"
        nodes.add_node(**_NODE, node_ip_address=address)


def _clothes(folder: Path, images: int) -> list[tuple[str, str]]:
    write_fashion(folder, train=images, test=0)
    return [(str(path), file_sha256(path)) for path in sorted(folder.glob("*.png"))]


def _extractor(cache: Path) -> FeatureExtractor:
    return FeatureExtractor(load_backbone(), cache=cache)


_MODES: dict[str, tuple[Callable[[int], None], int]] = {
    "overhead": (overhead, 20_000),
    "extraction": (extraction, 20),
    "prediction": (prediction, 20),
    "tuning": (tuning, 5),
    "drivers-predicting": (drivers_predicting, 5),
    "drivers-tuning": (drivers_tuning, 5),
    "memory": (memory, 200_000),
}

if __name__ == "__main__":
    print(describe())
    mode, default = _MODES[sys.argv[1]]
    mode(int(sys.argv[2]) if len(sys.argv) > 2 else default)
