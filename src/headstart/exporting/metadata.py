"""What an exported file says about itself."""

from importlib.metadata import version

from pydantic import JsonValue

from headstart.backbones.licences import describe_licence
from headstart.data.contract import LEVELS
from headstart.data.preprocessing import Preprocess
from headstart.predictor.predictor import Predictor

KEY = "headstart"
"""The name under which the metadata is stored, as JSON, in a file of any format."""


def metadata_of(predictor: Predictor, outputs: tuple[str, ...]) -> dict[str, JsonValue]:
    """Return everything that a program needs to use a model, and under which licence.

    Args:
        predictor: The model.
        outputs: The names of the network's outputs, in order.
    """
    thresholds, source = predictor.thresholds, predictor.extractor.source
    operating: JsonValue = None
    if thresholds:
        operating = {"purpose": thresholds.purpose, "thresholds": list(thresholds.values)}
    return {
        "headstart": version("headstart"),
        "task": predictor.task.name,
        "classes": list(predictor.classes),
        "outputs": list(outputs),
        "preprocess": _preprocess(predictor.extractor.preprocess),
        "operating_point": operating,
        "backbone": source.name,
        "weights": source.origin,
        "licence": "" if source.origin == "random" else describe_licence(source.licence),
    }


def _preprocess(preprocess: Preprocess) -> dict[str, JsonValue]:
    """Return how the pixels of a file become the input of the network."""
    fill = [round(255 * value) for value in preprocess.mean]
    return {
        "contract": preprocess.contract.version,
        "size": preprocess.size,
        "resize": preprocess.resize,
        "min_side": preprocess.min_side,
        "interpolation": preprocess.interpolation,
        "background": LEVELS[preprocess.contract.background],
        "window": preprocess.contract.window,
        "frames": preprocess.contract.frames,
        "fill": list(fill),
        "grey_fill": round(sum(fill) / len(fill)),
    }
