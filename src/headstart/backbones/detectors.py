"""The backbone in a file of one of torchvision's detectors, under timm's names of the tensors."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch

from headstart.backbones.building import build_network
from headstart.backbones.catalogue import architecture_of
from headstart.backbones.classifiers import classifier_prefixes
from headstart.backbones.weights import State
from headstart.errors import WeightsError

# Networks for which torchvision and timm compute the same. timm has others with the same tensors,
# such as resnetblur50, that compute something else.
_BODIES = (
    "resnet50",
    "mobilenet-v3-large",
    "vgg16",
    "resnet18",
    "resnet34",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
)


class Normalisation(NamedTuple):
    """The mean and standard deviation of each colour, for values from 0 to 1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class DetectorBody(NamedTuple):
    """The backbone of a detector.

    Attributes:
        state: Its tensors, under timm's names.
        normalisation: The normalisation of images that the detector was trained with.
    """

    state: State
    normalisation: Normalisation


_IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# SSD's VGG has Caffe's weights, for values from 0 to 255.
_CAFFE = Normalisation((0.48235, 0.45882, 0.40784), (1 / 255,) * 3)

_PYRAMID, _SSD = "backbone.body.", "backbone.features."
_HEADS = ("head.", "rpn.")
_SSD_KEY = re.compile(r"backbone\.features\.(\d+)\.(weight|bias)")
# VGG's last three convolutions and the pooling before them, in front of the layers that SSD adds.
_SSD_EXTRA_KEY = re.compile(r"backbone\.extra\.0\.(\d)\.(weight|bias)")
_SSD_SPLIT = 23
_COUNTER = "num_batches_tracked"


def is_detector(state: Mapping[str, torch.Tensor]) -> bool:
    """Return whether the names of tensors are those of a detector of torchvision."""
    return any(map(_in_body, state)) and any(name.startswith(_HEADS) for name in state)


def detector_body(
    state: Mapping[str, torch.Tensor], architecture: str, name: str, weights: str
) -> DetectorBody:
    """Return the backbone of a detector; the layers that the detector adds to it are left out.

    The epsilon of batch norms is timm's 1e-5. torchvision uses 0 with its oldest COCO weights only,
    and changed that without a significant effect (https://github.com/pytorch/vision/pull/2933).

    Args:
        state: The tensors of the detector.
        architecture: timm's name of the backbone that is loaded.
        name: Its name, for errors.
        weights: The source of the tensors, for errors.

    Raises:
        WeightsError: The detector has another backbone.
    """
    wanted = _without_tag(architecture)
    # The backbone that is loaded comes first, and usually fits.
    for body in sorted(_BODIES, key=lambda body: _without_tag(architecture_of(body)) != wanted):
        found = _without_tag(architecture_of(body))
        tensors = _tensors_of(state, found)
        if tensors is None:
            continue
        if found != wanted:
            raise WeightsError(
                f"Weights '{weights}' are of a detector with backbone '{body}', not '{name}'. "
                f"Use --backbone {body}."
            )
        return DetectorBody(tensors, _CAFFE if _is_ssd(state) else _IMAGENET)
    raise WeightsError(
        f"Weights '{weights}' are of a detector whose backbone cannot be used with '{name}'. "
        "Of torchvision's detectors, those with a pyramid on a ResNet, a ResNeXt or "
        "mobilenet-v3-large can be used, and SSD300 on vgg16; SSDLite cannot."
    )


def _in_body(name: str) -> bool:
    return name.startswith((_PYRAMID, _SSD))


def _is_ssd(state: Mapping[str, torch.Tensor]) -> bool:
    return any(name.startswith(_SSD) for name in state)


def _without_tag(architecture: str) -> str:
    return architecture.partition(".")[0]


def _tensors_of(state: Mapping[str, torch.Tensor], architecture: str) -> State | None:
    """Return the tensors of a detector's body under timm's names; None for another architecture."""
    with torch.device("meta"):
        network = build_network(architecture, None, 3, seed=0)
    classifier = classifier_prefixes(network)
    own = {
        name: tensor.shape
        for name, tensor in network.state_dict().items()
        if not name.startswith(classifier)
    }
    body = _ssd_body(state) if _is_ssd(state) else _pyramid_body(state)
    if body.keys() - own.keys():
        body = _renamed_by_order(body, own)
    # Frozen batch norms have no counters.
    counters = {name: torch.tensor(0) for name in own if name.endswith(_COUNTER)}
    body = counters | body
    return body if {name: tensor.shape for name, tensor in body.items()} == own else None


def _pyramid_body(state: Mapping[str, torch.Tensor]) -> State:
    return {
        name.removeprefix(_PYRAMID): tensor
        for name, tensor in state.items()
        if name.startswith(_PYRAMID)
    }


def _ssd_body(state: Mapping[str, torch.Tensor]) -> State:
    """Return the tensors of SSD's VGG under their names in a whole VGG."""
    body = {}
    for name, tensor in state.items():
        if match := _SSD_KEY.fullmatch(name):
            body[f"features.{match[1]}.{match[2]}"] = tensor
        elif match := _SSD_EXTRA_KEY.fullmatch(name):
            body[f"features.{_SSD_SPLIT + int(match[1])}.{match[2]}"] = tensor
    return body


def _renamed_by_order(body: State, own: Mapping[str, torch.Size]) -> State:
    """Rename layers in order: the MobileNets of both libraries define the same layers as they run.

    torchvision's names are positions, so the order of layers is known even if a file is sorted.
    """
    theirs = sorted({_layer(name) for name in body}, key=_positions)
    ours = list(dict.fromkeys(map(_layer, own)))
    if len(theirs) != len(ours):
        return body
    names = dict(zip(theirs, ours, strict=True))
    return {
        f"{names[_layer(name)]}.{name.rpartition('.')[2]}": tensor for name, tensor in body.items()
    }


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _positions(layer: str) -> list[tuple[int, str]]:
    """Return a key that sorts numbers by value, and names such as fc1 and fc2 by letters."""
    return [(int(part) if part.isdigit() else -1, part) for part in layer.split(".")]
