"""Fine-tuning of the last layers, from a fitted head on (LP-FT: Kumar et al., 2022)."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from headstart.backbones.backbone import Backbone
from headstart.backbones.pooling import StagePooling
from headstart.data.checks import Progress
from headstart.data.decoding import decode_image, read_image
from headstart.engines.engine import make_engine
from headstart.features.extractor import FeatureExtractor
from headstart.heads.fitted import LinearModel
from headstart.options import TuneOptions
from headstart.tuning.halves import cut
from headstart.tuning.loop import HeadedNetwork, Indices, Loop, Recipe, RowSource, Trained, Warn
from headstart.tuning.views import ViewPlan, ViewStore, free_bytes

_SPARE_DISK = 0.9


@dataclass(frozen=True)
class Task:
    """What is to be learnt.

    Attributes:
        files: Path and sha256 of each image.
        labels: Class numbers, shape (images,).
        train: Numbers of the images to learn from.
        val: Numbers of the images to choose by.
        seed: Of everything that is drawn.
    """

    files: tuple[tuple[str, str], ...]
    labels: Indices
    train: Indices
    val: Indices
    seed: int


@dataclass(frozen=True)
class Setting:
    """The fastest way found to take a step.

    Attributes:
        bf16: Whether forward and backward compute in bf16.
        steps_per_second: By each setting that was tried.
    """

    bf16: bool
    steps_per_second: dict[str, float]


@dataclass(frozen=True)
class Tuned:
    """A fine-tuned network's head, and how it came about; the backbone holds the weights.

    Attributes:
        head: The linear head, trained along.
        trained: What the loop measured.
        setting: How steps were taken.
        store_bytes: What the boundary store takes; 0 where training read images.
        seconds: Of all of it.
    """

    head: LinearModel
    trained: Trained
    setting: Setting
    store_bytes: int
    seconds: float


class StoredRows:
    """Rows from the boundary store."""

    def __init__(self, store: ViewStore) -> None:
        self._store = store

    def rows(self, images: Indices, view: int) -> Tensor:
        """See `RowSource.rows`."""
        return self._store.read(images, view)


class ImageRows:
    """Rows computed from the images each time, where nothing can be kept."""

    def __init__(self, plan: ViewPlan, backbone: Backbone, below: nn.Module | None) -> None:
        self._plan, self._preprocess = plan, backbone.preprocess
        self._below = below.eval() if below is not None else None

    @torch.no_grad()
    def rows(self, images: Indices, view: int) -> Tensor:
        """See `RowSource.rows`."""
        pixels = torch.from_numpy(np.stack([self._pixels(int(image), view) for image in images]))
        return pixels if self._below is None else torch.as_tensor(self._below(pixels))

    def _pixels(self, image: int, view: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        path, sha256 = self._plan.files[image]
        smallest = self._preprocess.smallest_side
        opened = decode_image(read_image(path), path=path, smallest=smallest)
        return self._plan.view(self._preprocess.pixels(opened), sha256, view % self._plan.views)


def tune(
    extractor: FeatureExtractor,
    head: LinearModel,
    columns: slice,
    task: Task,
    part: str,
    options: TuneOptions,
    *,
    checkpoints: Path | None = None,
    resume: bool = False,
    from_start: bool = True,
    deadline: float | None = None,
    progress: Progress | None = None,
    warn: Warn | None = None,
) -> Tuned:
    """Train a part of the backbone and the head on top of it.

    The frozen part below the trainable one runs once for each view of each image, on the fastest
    engine, into the boundary store.

    Args:
        extractor: With the backbone; its weights become the tuned ones.
        head: Where the head starts.
        columns: Which features it reads.
        task: What is to be learnt.
        part: "all", "stages:N" or "layers:N".
        options: How.
        checkpoints: Where the state is kept, or None.
        resume: Go on from there.
        from_start: Whether the weights as they are now may turn out to be the best.
        deadline: When to stop, by `time.perf_counter`.
        progress: Called with steps done and steps in all.
        warn: Told what the user should know.

    Raises:
        OptionError: There is no such part.
        TuningError: The checkpoint is of another training.
    """
    begin = time.perf_counter()
    warn = warn or (lambda text: None)
    backbone = extractor.backbone
    recipe = Recipe(
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        batch_size=min(options.batch_size, len(task.train)),
        mixup=options.mixup,
        from_start=from_start,
        seed=task.seed,
    )
    plan = ViewPlan(task.files, options.augment, _views(options), task.seed)
    key = extractor.fingerprint.key  # Of the weights before anything is trained.
    backbone.unfreeze(part)
    after = backbone.parts().stages_below(part) if part != "all" else 0
    pooling = StagePooling(backbone).eval()
    above, source, store_bytes = _source(extractor, pooling, plan, after, key, options, warn)
    network = HeadedNetwork(above, head, columns)
    setting = _fastest(network, source, task, recipe, extractor.precision)
    identity = {
        "weights": key,
        "part": part,
        "recipe": recipe.__dict__,
        "augment": plan.preset,
        "views": plan.views,
        "images": _digest(task),
        "threads": torch.get_num_threads(),
        "bf16": setting.bf16,
    }
    loop = Loop(
        network,
        backbone.network,
        source,
        task.labels,
        task.train,
        task.val,
        recipe,
        views=plan.views,
        folder=checkpoints,
        identity=identity,
        bf16=setting.bf16,
        deadline=deadline,
        warn=warn,
        progress=progress,
    )
    trained = loop.run(resume=resume)
    backbone.freeze()
    return Tuned(network.head(), trained, setting, store_bytes, time.perf_counter() - begin)


def _views(options: TuneOptions) -> int:
    return 1 if options.augment == "none" else options.views


def _source(
    extractor: FeatureExtractor,
    pooling: StagePooling,
    plan: ViewPlan,
    after: int,
    key: str,
    options: TuneOptions,
    warn: Warn,
) -> tuple[nn.Module, RowSource, int]:
    """Give the trainable network and where its rows come from."""
    backbone = extractor.backbone
    if after == 0:
        return pooling, ImageRows(plan, backbone, None), 0
    halves = cut(pooling, after)
    cache = extractor.cache
    folder = cache / "boundary"
    half = extractor.precision == "bf16"
    needed = len(plan.files) * plan.views * (halves.row_width * (2 if half else 4) + 4)
    most = min(options.store_gb * 1e9, free_bytes(folder) * _SPARE_DISK)
    if needed > most:
        warn(
            f"The boundary store would take {needed / 1e9:.1f} GB and {most / 1e9:.1f} GB may be "
            "used, so training reads the images in each epoch, which is slower."
        )
        return halves.above, ImageRows(plan, backbone, halves.below), 0
    store = ViewStore(
        folder, f"{key}-{after}", plan, halves.row_width, half=half, most_bytes=int(most)
    )
    engine = make_engine(
        halves.below.eval(),
        size=backbone.preprocess.size,
        device="cpu",
        precision=extractor.precision,
        cache=cache / "networks",
        key=f"{key}-below-{after}",
    )
    store.fill(engine, backbone.preprocess)
    return halves.above, StoredRows(store), store.bytes


def _fastest(
    network: HeadedNetwork, source: RowSource, task: Task, recipe: Recipe, precision: str
) -> Setting:
    """Time a few steps in float32 and in bf16, where the processor has it, and leave no trace."""
    batch = task.train[: recipe.batch_size]
    rows, labels = source.rows(batch, 0), torch.from_numpy(task.labels[batch])
    rates: dict[str, float] = {}
    for name in ["float32", "bf16"] if precision == "bf16" else ["float32"]:
        with _untouched(network):
            network.train()
            steps = [_step(network, rows, labels, bf16=name == "bf16") for _ in range(3)]
            rates[name] = 1 / min(steps[1:])
    return Setting(max(rates, key=lambda name: rates[name]) == "bf16", rates)


def _step(network: HeadedNetwork, rows: Tensor, labels: Tensor, *, bf16: bool) -> float:
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = network(rows)
    nn.functional.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
    network.zero_grad(set_to_none=True)
    return time.perf_counter() - start


@contextmanager
def _untouched(network: HeadedNetwork) -> Iterator[None]:
    """Put the statistics back that a few steps have moved."""
    before = {name: one.detach().clone() for name, one in network.learnt().items()}
    yield
    network.put(before)


def _digest(task: Task) -> str:
    text = repr((task.files, task.labels.tolist(), task.train.tolist(), task.val.tolist()))
    return hashlib.sha256(text.encode()).hexdigest()
