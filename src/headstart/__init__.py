"""Headstart: a folder of labelled photos in, a trained, measured, explained model out."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headstart.answers import Prediction
    from headstart.backbones.backbone import Backbone, load_backbone
    from headstart.classifier import Classifier
    from headstart.data.images import Images, ImageSet
    from headstart.errors import HeadstartError, HeadstartWarning, UnreadableImage
    from headstart.features.featurizer import Featurizer
    from headstart.gallery import Gallery
    from headstart.heads.specs import AutoHead, KernelHead, LinearHead, MLPHead, NearestHead
    from headstart.library import (
        check,
        compare,
        evaluate,
        explain,
        export,
        load,
        open_images,
        predict,
        push,
        recommend,
        shift,
        train,
        verify,
    )
    from headstart.predictor.predictor import Predictor
    from headstart.record import Record

__all__ = [
    "AutoHead",
    "Backbone",
    "Classifier",
    "Featurizer",
    "Gallery",
    "HeadstartError",
    "HeadstartWarning",
    "ImageSet",
    "Images",
    "KernelHead",
    "LinearHead",
    "MLPHead",
    "NearestHead",
    "Prediction",
    "Predictor",
    "Record",
    "UnreadableImage",
    "check",
    "compare",
    "evaluate",
    "explain",
    "export",
    "load",
    "load_backbone",
    "open_images",
    "predict",
    "push",
    "recommend",
    "shift",
    "train",
    "verify",
]

# Names are imported when first used, so that `import headstart` is fast and does not import torch.
_MODULES = {
    "AutoHead": "heads.specs",
    "Backbone": "backbones.backbone",
    "Classifier": "classifier",
    "Featurizer": "features.featurizer",
    "Gallery": "gallery",
    "HeadstartError": "errors",
    "HeadstartWarning": "errors",
    "ImageSet": "data.images",
    "Images": "data.images",
    "KernelHead": "heads.specs",
    "LinearHead": "heads.specs",
    "MLPHead": "heads.specs",
    "NearestHead": "heads.specs",
    "Prediction": "answers",
    "Predictor": "predictor.predictor",
    "Record": "record",
    "UnreadableImage": "errors",
    "check": "library",
    "compare": "library",
    "evaluate": "library",
    "explain": "library",
    "export": "library",
    "load": "library",
    "load_backbone": "backbones.backbone",
    "open_images": "library",
    "predict": "library",
    "push": "library",
    "recommend": "library",
    "shift": "library",
    "train": "library",
    "verify": "library",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'headstart' has no attribute '{name}'")
    return getattr(import_module(f"headstart.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
