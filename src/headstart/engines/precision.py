"""Which numbers a network computes in: bf16 only where it is faster here, and right."""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args
from uuid import uuid4

import numpy as np
import torch
from PIL import Image

from headstart.engines.engine import Engine, Features, Pixels
from headstart.engines.timing import rates_in_turns
from headstart.errors import OptionError
from headstart.options import PrecisionOption

_ROUNDS, _SECONDS, _LIMIT = 5, 0.1, 4.0
_FASTER = 1.05
# EfficientNet-Lite comes down to 0.9977 on random colours; below this something is broken.
_ALIKE = 0.99
# Small batches: their ratio is that of large ones, and slow networks are done sooner.
_IMAGES = 4


@dataclass(frozen=True)
class PrecisionTrial:
    """What decided between float32 and bf16.

    Attributes:
        float32: Images per second.
        bf16: Images per second.
        cosine: The lowest of the features in bf16 to those in float32.
    """

    float32: float
    bf16: float
    cosine: float

    @property
    def precision(self) -> str:
        """The faster one; float32, the more exact, unless bf16 gains 5 % and gives the same."""
        good = self.bf16 >= _FASTER * self.float32 and self.cosine >= _ALIKE
        return "bf16" if good else "float32"

    def to_dict(self) -> dict[str, float]:
        """Give plain JSON values."""
        return asdict(self)


def has_bf16(device: str) -> bool:
    """Tell whether a device computes in bf16."""
    from headstart.engines.openvino_engine import cpu_has_bf16

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return cpu_has_bf16()


def settled_precision(precision: PrecisionOption, device: str) -> str | None:
    """Give the precision where there is no choice, and None where a trial has to decide.

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


def try_precisions(build: Callable[[str], Engine], size: int) -> PrecisionTrial:
    """Time both engines of a network in turns, and compare what they give.

    Args:
        build: Gives the engine for a precision.
        size: Side of the images, in pixels.
    """
    plain, short = build("float32"), build("bf16")
    engines = [(plain, size), (short, size)]
    rates = rates_in_turns(engines, rounds=_ROUNDS, seconds=_SECONDS, limit=_LIMIT, images=_IMAGES)
    images = _smooth_images(size)
    (expected,), (found,) = plain.run([images]), short.run([images])
    return PrecisionTrial(rates[0], rates[1], _lowest_cosine(found, expected))


def remembered_trial(
    folder: Path, architecture: str, size: int, measure: Callable[[], PrecisionTrial]
) -> PrecisionTrial:
    """Give the trial that was made before with this network on this processor, or make it.

    The precision is part of what a stored feature is found by, so a second timing, which might
    come out differently, would throw features away.

    Args:
        folder: Where trials are kept, one small file each; a damaged one is made again.
        architecture: timm's name.
        size: Side of the images, in pixels.
        measure: Makes the trial.
    """
    from headstart.engines.openvino_engine import cpu_facts

    facts = {"architecture": architecture, "size": size, **cpu_facts()}
    name = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"precision-{name}.json"
    known = _read(path)
    if known is not None:
        return known
    trial = measure()
    _write(path, facts | trial.to_dict())
    # Another process may have been first, and both must go on with the same.
    return _read(path) or trial


def _read(path: Path) -> PrecisionTrial | None:
    try:
        found = json.loads(path.read_bytes())
        return PrecisionTrial(*(float(found[name]) for name in ("float32", "bf16", "cosine")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, facts: dict[str, object]) -> None:
    """Write a file whole or not at all, and never over a good one; a full disk is no harm."""
    partial = path.with_name(f"{uuid4().hex}.json")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(facts, indent=2))
        if path.exists() and _read(path) is None:
            path.unlink()
        _move_once(partial, path)
    with suppress(OSError):
        partial.unlink(missing_ok=True)


def _move_once(partial: Path, path: Path) -> None:
    try:
        os.link(partial, path)
    except FileExistsError:
        return
    except OSError:  # A file system without hard links.
        partial.replace(path)


def _smooth_images(size: int) -> Pixels:
    """Give colour patterns as smooth as photos: on noise bf16 is off more than it ever is there."""
    small = np.random.default_rng(0).integers(0, 256, (_IMAGES, 4, 4, 3), dtype=np.uint8)
    shape, smooth = (size, size), Image.Resampling.BICUBIC
    return np.stack([np.asarray(Image.fromarray(one).resize(shape, smooth)) for one in small])


def _lowest_cosine(found: Features, expected: Features) -> float:
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return float(((found * expected).sum(axis=1) / norms).min())
