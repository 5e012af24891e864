"""Fixtures for most tests: small generated images, tiny networks, and no network access."""

import gc
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image
from torch.nn import Module

from headstart.backbones.building import check_image_size
from headstart.cores import share
from headstart.engines.devices import make_engine
from headstart.engines.engine import Engine
from headstart.engines.precision import cached_trial, try_precisions
from headstart.engines.torch_engine import TorchEngine
from headstart.heads.trials import _STRENGTHS as STRENGTHS
from headstart.record import PrecisionTrial
from headstart.tasks.single import Single

if TYPE_CHECKING:
    from tests.object_store import Bucket, ObjectStore

# Read once, when huggingface_hub is imported, so that no test connects to the hub.
os.environ["HF_HUB_OFFLINE"] = "1"

# Until the tests are collected: modules and tests are no garbage, and looking takes seconds.
gc.disable()

# On a busy machine, a slow example is not a failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

TINY = "test_efficientnet"
TASK = Single()
USERS_OF_ENGINES = (
    "detection.maps",
    "features.extractor",
    "predictor.detector",
    "tuning.boundary.rows",
)
Trial = Callable[[], PrecisionTrial]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect the tests, and keep what exists then out of every garbage collection."""
    collected = yield
    gc.freeze()
    gc.enable()
    return collected


@pytest.fixture(scope="session")
def _session_patch() -> Iterator[pytest.MonkeyPatch]:
    """Patch for all tests and for the fixtures that several tests share."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(autouse=True, scope="session")
def _no_hub(_session_patch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the user's cache and configuration, and the hub, out of every test."""
    for name in ("cache", "config"):
        folder = tmp_path_factory.getbasetemp() / name
        _session_patch.setenv(f"XDG_{name.upper()}_HOME", str(folder))


_KEPT_ENGINES = 32


@pytest.fixture(autouse=True, scope="session")
def _compile_once(
    _session_patch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Take the engine of a network from an earlier test, whatever the test's cache."""
    shared = tmp_path_factory.getbasetemp() / "networks"
    engines: dict[tuple[object, ...], Engine] = {}
    process = os.getpid()

    def make(*arguments: Any, cache: Path, key: str, device: str, **named: Any) -> Engine:
        if device != "cpu":
            return make_engine(*arguments, cache=cache, key=key, device=device, **named)
        if (shared / key).exists() and not (cache / key).exists():
            with suppress(OSError):  # Some caches are unusable, to see what happens then.
                shutil.copytree(shared / key, cache / key, dirs_exist_ok=True)
        case = (key, *named.items(), share(), os.getpid())  # Engines do not survive a fork.
        if case not in engines:
            engines[case] = make_engine(*arguments, cache=cache, key=key, device=device, **named)
            # A forked child cannot destroy an engine of its parent, so it destroys none.
            if len(engines) > _KEPT_ENGINES and os.getpid() == process:
                del engines[next(iter(engines))]
        engine = engines[case]
        if (cache / key).exists() and not (shared / key).exists():
            shutil.copytree(cache / key, shared / key, dirs_exist_ok=True)
        return engine

    for user in USERS_OF_ENGINES:
        _session_patch.setattr(f"headstart.{user}.make_engine", make)


@contextmanager
def in_pytorch() -> Iterator[None]:
    """Run networks in PyTorch, as converting each one that a test trains takes most of its time."""

    def make(network: Callable[[], Module], *, device: str, precision: str, **_: Any) -> Engine:
        return TorchEngine(network(), device=device, precision=precision)

    with pytest.MonkeyPatch.context() as patch:
        for user in USERS_OF_ENGINES:
            patch.setattr(f"headstart.{user}.make_engine", make)
        yield


@pytest.fixture(scope="module")
def run_in_pytorch() -> Iterator[None]:
    """Run the networks of a module's tests in PyTorch."""
    with in_pytorch():
        yield


@pytest.fixture(autouse=True, scope="session")
def _try_precisions_once(
    _session_patch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Take the trial of precisions from an earlier test of the network, whatever the cache."""
    shared = tmp_path_factory.getbasetemp() / "trials"

    def cached(folder: Path, name: str, size: int, measure: Trial) -> PrecisionTrial:
        return cached_trial(folder, name, size, lambda: cached_trial(shared, name, size, measure))

    _session_patch.setattr("headstart.features.extractor.cached_trial", cached)


@pytest.fixture(autouse=True, scope="session")
def _check_sizes_once(_session_patch: pytest.MonkeyPatch) -> None:
    """Check once that a network accepts an image size, for all of the same name and shapes."""
    accepted = set()

    def check(network: Module, architecture: str, size: int, channels: int) -> None:
        shapes = tuple((name, tensor.shape) for name, tensor in network.state_dict().items())
        case = (architecture, size, channels, shapes)
        if case not in accepted:
            check_image_size(network, architecture, size, channels)
            accepted.add(case)

    _session_patch.setattr("headstart.backbones.backbone.check_image_size", check)


@pytest.fixture(autouse=True, scope="session")
def _one_round(_session_patch: pytest.MonkeyPatch) -> None:
    """Hold out once in fine-tuning, which is quicker than five times for so few images."""
    _session_patch.setattr("headstart.tuning.held_out.CROSS_VALIDATE_UP_TO", 0)


@pytest.fixture(autouse=True, scope="session")
def _fewer_strengths(_session_patch: pytest.MonkeyPatch) -> None:
    """Compare heads at three strengths only; `tests.heads` compares them at all."""
    _session_patch.setattr("headstart.heads.trials._STRENGTHS", STRENGTHS[::4])


@pytest.fixture(autouse=True, scope="session")
def _short_turns(_session_patch: pytest.MonkeyPatch) -> None:
    """Time engines very briefly, as the result does not matter here."""
    _session_patch.setattr("headstart.choosing.trials.SECONDS", 0.02)
    briefly = partial(try_precisions, seconds=0.02)
    _session_patch.setattr("headstart.features.extractor.try_precisions", briefly)
    for timed in ("choosing.trials", "engines.precision"):
        _session_patch.setattr(f"headstart.{timed}._ROUNDS", 1)


@pytest.fixture(scope="session")
def object_store(_session_patch: pytest.MonkeyPatch) -> "Iterator[ObjectStore]":
    """Start an object store on the loopback interface, and name it in the environment."""
    from tests.object_store import KEYS, running  # Slow to import, and only for some tests.

    with running() as store:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": store.endpoint}.items():
            _session_patch.setenv(name, value)
        yield store


@pytest.fixture
def bucket(object_store: "ObjectStore") -> "Bucket":
    """Create a bucket."""
    return object_store.bucket(f"bucket-{uuid4().hex[:8]}")


def picture(
    seed: int, colour: tuple[int, int, int] = (128, 128, 128), side: int = 64
) -> Image.Image:
    """Create a noisy picture around a colour, a different one for each seed."""
    noise = np.random.default_rng(seed).normal(0, 40, (side // 8, side // 8, 3))
    small = np.clip(noise + colour, 0, 255).astype(np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 50, 40)}


def write_blue_and_red(folder: Path, count: int) -> None:
    """Write a data set: so many blue and so many red pictures, in a folder of each colour."""
    for number, label in enumerate(("blue", "red")):
        (folder / label).mkdir(parents=True)
        for index in range(count):
            picture(number * 1000 + index, COLOURS[label]).save(folder / label / f"{index}.png")


def write_folder(folder: Path, count: int, classes: tuple[str, ...]) -> None:
    """Write so many pictures of each class into a folder of class folders."""
    for number, label in enumerate(classes):
        (folder / label).mkdir(parents=True)
        for index in range(count):
            image = picture(number * 1000 + index, COLOURS[label])
            image.save(folder / label / f"{index:03d}.png")


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a folder of class folders."""

    def make(
        count: int = 12, classes: tuple[str, ...] = ("blue", "red"), name: str = "photos"
    ) -> Path:
        write_folder(tmp_path / name, count, classes)
        return tmp_path / name

    return make
