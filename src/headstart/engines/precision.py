"""Which numbers a network computes in: bf16 only where it is faster here and as good."""

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
from headstart.engines.timing import rates_in_turns
from headstart.errors import OptionError
from headstart.files import remove, written_once
from headstart.options import PrecisionOption
from headstart.record import PrecisionTrial

_ROUNDS, _LIMIT = 5, 4.0
_FASTER = 1.05
# EfficientNet-Lite comes down to 0.9977 on random colours; below this something is broken.
_ALIKE = 0.99
# Small batches: their ratio is that of large ones, and slow networks are done sooner.
_IMAGES = 4


def faster_precision(trial: PrecisionTrial) -> str:
    """Return bf16 where it gains 5 % and gives the same features, else float32, the more exact."""
    alike = trial.cosine is not None and trial.cosine >= _ALIKE
    good = alike and trial.bf16 >= _FASTER * trial.float32
    return "bf16" if good else "float32"


def has_bf16(device: str) -> bool:
    """Return whether a device computes in bf16."""
    if device == "cuda":
        import torch  # Takes seconds, and a CPU does without it.

        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    from headstart.engines.openvino_engine import cpu_has_bf16  # As in devices.py.

    return cpu_has_bf16()


def settled_precision(precision: PrecisionOption, device: str) -> str | None:
    """Return the precision where there is no choice, and None where a trial has to decide.

    Raises:
        OptionError: "bf16" is asked for and the processor has no such instructions.
    """
    if precision not in get_args(PrecisionOption):
        raise OptionError(f"precision must be auto, bf16 or float32. Got '{precision}'.")
    if precision == "float32":
        return "float32"
    able = has_bf16(device)
    if precision == "bf16" and not able:
        raise OptionError(
            f"precision 'bf16' is asked for, but this {device} does not compute in it. "
            "Use 'float32'."
        )
    if able and precision == "auto" and device == "cpu":
        return None
    return "bf16" if able else "float32"


def try_precisions(
    build: Callable[[str], Engine], size: int, *, seconds: float = 0.1
) -> PrecisionTrial:
    """Time both engines of a network in turns, and compare their features.

    Args:
        build: Builds the engine for a precision.
        size: Side of the images, in pixels.
        seconds: How long a turn is.
    """
    plain, short = build("float32"), build("bf16")
    engines = [(plain, size), (short, size)]
    rates = rates_in_turns(engines, rounds=_ROUNDS, seconds=seconds, limit=_LIMIT, images=_IMAGES)
    images = _smooth_images(size)
    (expected,), (found,) = plain.run([images]), short.run([images])
    return PrecisionTrial(rates[0], rates[1], lowest_cosine(found, expected))


def remembered_trial(
    folder: Path, architecture: str, size: int, measure: Callable[[], PrecisionTrial]
) -> PrecisionTrial:
    """Return the trial that was made before with this network on this processor, or make it.

    The precision is part of what a stored feature is found by, so a second timing, which might
    come out differently, would throw features away.

    Args:
        folder: Where trials are kept, one small file each; a damaged one is made again.
        architecture: timm's name.
        size: Side of the images, in pixels.
        measure: Makes the trial.
    """
    from headstart.engines.openvino_engine import cpu_facts  # As in devices.py.

    facts = {"architecture": architecture, "size": size, **cpu_facts()}
    name = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"precision-{name}.json"
    known = _read(path)
    if known is not None:
        return known
    trial = measure()
    _write(path, facts | vars(trial))
    # Another process may have been first, and both must go on with the same.
    return _read(path) or trial


def _read(path: Path) -> PrecisionTrial | None:
    try:
        found = json.loads(path.read_bytes())
        return PrecisionTrial(*(float(found[name]) for name in ("float32", "bf16", "cosine")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, facts: dict[str, object]) -> None:
    """Write a trial unless a sound one is there; on a full disk it is not kept."""
    with suppress(OSError):
        if _read(path) is None:
            remove(path)
        with written_once(path) as partial:
            partial.write_text(json.dumps(facts, indent=2))


def _smooth_images(size: int) -> Pixels:
    """Return colour patterns as smooth as photos: bf16 is further off on noise than on photos."""
    small = np.random.default_rng(0).integers(0, 256, (_IMAGES, 4, 4, 3), dtype=np.uint8)
    shape, smooth = (size, size), Image.Resampling.BICUBIC
    return np.stack([np.asarray(Image.fromarray(one).resize(shape, smooth)) for one in small])


def lowest_cosine(found: Features, expected: Features) -> float:
    """Return the lowest cosine between the features of the same image, (images, width) each."""
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return float(((found * expected).sum(axis=1) / norms).min())
