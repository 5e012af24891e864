"""Choose the numeric precision: bf16 if it is faster on this machine and equally accurate."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image

from headstart.arrays import Features, Pixels
from headstart.engines.engine import Engine
from headstart.engines.timing import interleaved_rates
from headstart.errors import OptionError
from headstart.files import atomic_create, remove
from headstart.options import PrecisionOption
from headstart.record import PrecisionTrial

_ROUNDS, _LIMIT = 5, 4.0
_MIN_SPEEDUP = 1.05
# EfficientNet-Lite has 0.9977 on random colours; below this limit, something is broken.
_MIN_COSINE = 0.99
# The ratio of speeds is the same for small and large batches, and small ones take less time.
_IMAGES = 4


def faster_precision(trial: PrecisionTrial) -> str:
    """Return "bf16" if it is at least 5% faster with the same features, otherwise "float32"."""
    accurate = trial.cosine is not None and trial.cosine >= _MIN_COSINE
    faster = trial.bf16 >= _MIN_SPEEDUP * trial.float32
    return "bf16" if accurate and faster else "float32"


def has_bf16(device: str) -> bool:
    """Return whether a device supports bf16."""
    if device == "cuda":
        import torch  # Takes seconds to import, and is not needed on a CPU.

        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    from headstart.engines.openvino_engine import cpu_has_bf16  # See make_engine in devices.py.

    return cpu_has_bf16()


def precision_of_model(requested: PrecisionOption, trained_in: str, device: str) -> PrecisionOption:
    """Return the precision in which a saved model runs: by default, that of its training.

    Args:
        requested: What the user asked for.
        trained_in: The precision of its training.
        device: "cpu" or "cuda"; without bf16, the model runs in float32.
    """
    if requested != "auto":
        return requested
    return "bf16" if trained_in == "bf16" and has_bf16(device) else "float32"


def resolve_precision(precision: PrecisionOption, device: str) -> str | None:
    """Return the precision, or None if a trial has to decide.

    Raises:
        OptionError: The precision is unknown, or the device does not support "bf16".
    """
    if precision not in get_args(PrecisionOption):
        raise OptionError(f"precision must be auto, bf16 or float32. Got '{precision}'.")
    if precision == "float32":
        return "float32"
    supported = has_bf16(device)
    if precision == "bf16" and not supported:
        raise OptionError(
            f"precision 'bf16' was requested, but this {device} does not support it. Use 'float32'."
        )
    if supported and precision == "auto" and device == "cpu":
        return None
    return "bf16" if supported else "float32"


def try_precisions(
    build: Callable[[str], Engine], size: int, *, seconds: float = 0.1
) -> PrecisionTrial:
    """Time a network in float32 and bf16, and compare the features.

    Args:
        build: Creates the engine for a precision.
        size: Side of the images, in pixels.
        seconds: Duration of a measurement.
    """
    float32, bf16 = build("float32"), build("bf16")
    engines = [(float32, size), (bf16, size)]
    rates = interleaved_rates(
        engines, rounds=_ROUNDS, seconds=seconds, limit=_LIMIT, images=_IMAGES
    )
    images = _smooth_images(size)
    (expected,), (found,) = float32.run([images]), bf16.run([images])
    return PrecisionTrial(rates[0], rates[1], min_cosine(found, expected))


def cached_trial(
    folder: Path, architecture: str, size: int, measure: Callable[[], PrecisionTrial]
) -> PrecisionTrial:
    """Return the cached trial of a network on this processor, or run it.

    The precision is part of the key of stored features. If a second trial had another result, the
    stored features could not be used.

    Args:
        folder: The folder for trials, one small file each. A damaged file is replaced.
        architecture: timm's name.
        size: Side of the images, in pixels.
        measure: Runs the trial.
    """
    from headstart.engines.openvino_engine import cpu_info  # See make_engine in devices.py.

    conditions = {"architecture": architecture, "size": size, **cpu_info()}
    name = hashlib.sha256(json.dumps(conditions, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"precision-{name}.json"
    cached = _read(path)
    if cached is not None:
        return cached
    trial = measure()
    _write(path, conditions | vars(trial))
    # If another process was faster, both must continue with its result.
    return _read(path) or trial


def _read(path: Path) -> PrecisionTrial | None:
    try:
        found = json.loads(path.read_bytes())
        return PrecisionTrial(*(float(found[name]) for name in ("float32", "bf16", "cosine")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, values: dict[str, object]) -> None:
    """Write a trial if there is no valid one; errors such as a full disk are ignored."""
    with suppress(OSError):
        if _read(path) is None:
            remove(path)
        with atomic_create(path) as partial:
            partial.write_text(json.dumps(values, indent=2))


def _smooth_images(size: int) -> Pixels:
    """Return colour patterns as smooth as photos: bf16 is less accurate on noise than on photos."""
    patterns = np.random.default_rng(0).integers(0, 256, (_IMAGES, 4, 4, 3), dtype=np.uint8)
    images = [
        Image.fromarray(pattern).resize((size, size), Image.Resampling.BICUBIC)
        for pattern in patterns
    ]
    return np.stack([np.asarray(image) for image in images])


def min_cosine(found: Features, expected: Features) -> float:
    """Return the lowest cosine similarity of an image's features, (images, width) each."""
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return float(((found * expected).sum(axis=1) / norms).min())
