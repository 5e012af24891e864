"""What an exported file says about itself."""

from importlib.metadata import version

from pydantic import JsonValue

from headstart.backbones.backbone import Backbone
from headstart.backbones.licences import describe_licence
from headstart.backbones.saved import SavedBackbone
from headstart.data.contract import LEVELS
from headstart.data.preprocessing import Preprocess
from headstart.heads.boxes.detections import LEAST_SCORE
from headstart.predictor.detector import Detector
from headstart.predictor.predictor import Predictor

KEY = "headstart"
"""The name under which the metadata is stored, as JSON, in a file of any format."""

CANDIDATES, SAME_OBJECT, MOST_BOXES = 1000, 0.6, 100
"""How boxes of one object become one; the same as in `headstart.heads.boxes.detections`."""


def metadata_of(predictor: Predictor, outputs: tuple[str, ...]) -> dict[str, JsonValue]:
    """Return everything that a program needs to use a model, and under which licence.

    Args:
        predictor: The model.
        outputs: The names of the network's outputs, in order.
    """
    source = predictor.extractor.source
    return _metadata(predictor, source, predictor.extractor.preprocess, outputs)


def metadata_of_detector(detector: Detector, outputs: tuple[str, ...]) -> dict[str, JsonValue]:
    """Return the same for a detector, and how boxes of one object become one.

    Args:
        detector: The detector.
        outputs: The names of the network's outputs, in order.
    """
    values = _metadata(detector, detector.backbone, detector.preprocess, outputs)
    return values | {
        "suppression": {
            "candidates": CANDIDATES,
            "least_probability": LEAST_SCORE,
            "overlap": SAME_OBJECT,
            "boxes": MOST_BOXES,
        }
    }


def _metadata(
    model: Predictor | Detector,
    source: Backbone | SavedBackbone,
    preprocess: Preprocess,
    outputs: tuple[str, ...],
) -> dict[str, JsonValue]:
    operating: JsonValue = None
    if thresholds := model.thresholds:
        operating = {"purpose": thresholds.purpose, "thresholds": list(thresholds.values)}
    return {
        "headstart": version("headstart"),
        "task": model.task.name,
        "classes": list(model.classes),
        "outputs": list(outputs),
        "preprocess": _preprocess(preprocess),
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
