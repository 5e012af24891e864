"""Quantise the backbone to 8-bit integers, and judge the loss.

The head, calibration and the distance to the training images stay in float32. Of several ways, one
is chosen on training images; the test images judge only that one.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import JsonValue

from headstart.arrays import Pixels, Probabilities
from headstart.engines.quiet_openvino import without_telemetry
from headstart.errors import ExportError, OptionError
from headstart.exporting.formats import INPUT, Layer, Model
from headstart.record.comparison import MetricDifference
from headstart.record.export import QuantisationResult

if TYPE_CHECKING:
    from headstart.data.images import ImageSet
    from headstart.predictor.predictor import Predictor

CALIBRATION_IMAGES = 300
"""Training images whose activations give the ranges of the integers."""

_JUDGED = ("accuracy", "macro_auroc", "subset_accuracy")
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Way:
    """A way of quantising.

    Attributes:
        name: What is special about it, for the user.
        settings: Settings of NNCF.
        kept: The kinds of layers that stay in float32, see `Layer`; "first" is the first layer.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    kept: tuple[str, ...] = ()


WAYS = (
    Way("every layer in 8-bit integers"),
    Way(
        "bias correction, and the first layer in float32",
        {"fast_bias_correction": False},
        ("first",),
    ),
    Way(
        "bias correction, and the first and the depthwise layers in float32",
        {"fast_bias_correction": False},
        ("first", "depthwise"),
    ),
)
"""The ways that are tried, the fastest first."""


def check_installed() -> None:
    """Check that NNCF is installed.

    Raises:
        OptionError: It is not.
    """
    with _nncf():
        pass


def quantise(
    model: Model, layers: Sequence[Layer], images: Sequence[Pixels], way: Way, *, attention: bool
) -> Model:
    """Return a quantised copy of a model.

    Args:
        model: An ONNX or OpenVINO model.
        layers: Its layers.
        images: Preprocessed training images, each (size, size, 3).
        way: How to quantise.
        attention: Whether the network is a transformer.

    Raises:
        OptionError: NNCF is missing.
    """
    with _nncf() as nncf:
        names = {layer.name for layer in layers if not layer.in_backbone}
        inside = [layer for layer in layers if layer.in_backbone]
        if not inside:
            raise ExportError("No layer of the network can be computed in 8-bit integers.")
        convolutions = [layer for layer in inside if layer.kind != "other"]
        names |= {layer.name for layer in convolutions if layer.kind in way.kept}
        names |= {layer.name for layer in convolutions[:1] if "first" in way.kept}
        dataset = nncf.Dataset(images, lambda image: {INPUT: image[np.newaxis]})
        return nncf.quantize(
            model,
            dataset,
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER if attention else None,
            subset_size=len(images),
            ignored_scope=nncf.IgnoredScope(names=sorted(names)),
            **way.settings,
        )


def judge(
    predictor: Predictor,
    images: ImageSet,
    exact: Probabilities,
    quantised: Probabilities,
    way: str,
    *,
    changed: int,
    max_drop: float,
) -> QuantisationResult:
    """Compare 8-bit integers with float32 on labelled test images.

    Args:
        predictor: The model.
        images: The test images.
        exact: Probabilities in float32, (images, classes).
        quantised: Probabilities in 8-bit integers.
        way: The name of the way.
        changed: Images whose label changes, or whether they are unknown.
        max_drop: The loss of the main metric that is accepted, in points.
    """
    task, classes, thresholds = predictor.task, predictor.classes, predictor.thresholds
    compared = task.compare(
        *((exact, thresholds), (quantised, thresholds), images.labels), groups=images.given_groups
    )
    # With several labels, ranking and thresholds may suffer separately: the larger loss counts.
    main = max((one for one in compared if one.metric in _JUDGED), key=_loss)
    first, second = (
        task.evaluate(rows, images.labels, classes, thresholds=thresholds).to_json()
        for rows in (exact, quantised)
    )
    assert main.first is not None and main.second is not None  # There are images.
    return QuantisationResult(
        way=way,
        images=len(images),
        metric=main.metric,
        float32=main.first,
        int8=main.second,
        ci95=main.ci95,
        changed=changed,
        by_class=tuple(zip(classes, _recalls(first), _recalls(second), strict=True)),
        ece=(_number(first["ece"]), _number(second["ece"])),
        max_drop=max_drop,
        accepted=100 * (main.first - main.second) <= max_drop + _ROUNDING,
    )


def _loss(difference: MetricDifference) -> float:
    return -difference.difference if difference.difference is not None else -inf


def _recalls(evaluation: Mapping[str, JsonValue]) -> list[float | None]:
    rows = evaluation["per_class"]
    assert isinstance(rows, list)
    return [_number(row["recall"]) for row in rows if isinstance(row, dict)]


def _number(value: JsonValue) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def has_attention(network: Any) -> bool:  # noqa: ANN401
    """Return whether a network is a transformer."""
    return any("Attention" in type(module).__name__ for module in network.modules())


@contextmanager
def _nncf() -> Iterator[Any]:
    """Import NNCF without telemetry, progress bars and notes."""
    # A part of PyTorch that it imports warns where there is no GPU.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    try:
        with without_telemetry():
            import nncf
    except ImportError:
        raise OptionError(
            "8-bit integers need NNCF. Run: pip install 'headstart[export]'"
        ) from None
    nncf.set_log_level(logging.ERROR)
    with redirect_stdout(io.StringIO()):
        yield nncf
