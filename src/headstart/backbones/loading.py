"""Load pretrained weights into a network, whatever they were trained for."""

import sys
from contextlib import suppress
from typing import Any

import torch
from timm.models import adapt_input_conv
from torch import nn

from headstart.backbones.classifiers import classifier_prefixes
from headstart.backbones.detectors import Normalisation, detector_body, is_detector
from headstart.backbones.weights import State, load_weights
from headstart.errors import WeightsError
from headstart.watching import Note


def load_pretrained(
    network: nn.Module, architecture: str, name: str, weights: str, channels: int, note: Note
) -> Normalisation | None:
    """Load weights into a network with its classifier.

    Args:
        network: An instance of the architecture.
        architecture: timm's name.
        name: The name that the user passed, for errors.
        weights: See `load_weights`; the weights of a detector are also possible.
        channels: Number of image channels of the network.
        note: Called with a sentence if the weights are of a detector.

    Returns:
        The normalisation that the weights were trained with, if it may not be the network's own.

    Raises:
        WeightsError: The weights are missing, damaged, or of another architecture.
    """
    state, normalisation = load_weights(architecture, weights, network), None
    if state is None:
        return None
    if is_detector(state):
        state, normalisation = detector_body(state, architecture, name, weights)
        note(f"Only the backbone of the detector in '{weights}' is used, not its pyramid and head.")
    state = _adapt(state, network, channels)
    load_state(network, state, name, weights, optional=classifier_prefixes(network))
    return normalisation


def load_state(
    network: nn.Module, state: State, name: str, weights: str, *, optional: tuple[str, ...]
) -> None:
    """Load weights; names with an optional prefix may be missing or have another shape.

    Raises:
        WeightsError: The weights do not match the network, or are not finite.
    """
    own = network.state_dict()
    classifier = {key for key in own if key.startswith(optional)}
    missing = [key for key in own if key not in state and key not in classifier]
    unexpected = [key for key in state if key not in own]
    shapes = [
        f"{key} is {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
        for key in own
        if key in state and key not in classifier and state[key].shape != own[key].shape
    ]
    if missing or unexpected or shapes:
        problems = [f"{key} is missing" for key in missing] + shapes
        problems += [f"{key} is unexpected" for key in unexpected]
        raise WeightsError(
            f"Weights '{weights}' do not match backbone '{name}': {problems[0]}"
            + (f", and {len(problems) - 1} more differences." if len(problems) > 1 else ".")
        )
    for key, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f"Weights '{weights}' have values that are not finite in '{key}'.")
    matching = {key: tensor for key, tensor in state.items() if tensor.shape == own[key].shape}
    network.load_state_dict(matching, strict=False)


def _adapt(state: State, network: nn.Module, channels: int) -> State:
    """Convert the tensors of a file to the form of the network, as timm does.

    Position embeddings are resampled to the image size, old names are replaced by new ones, and the
    first convolution is adapted to the number of channels.
    """
    module = sys.modules[type(network).__module__]
    adapt = getattr(module, "checkpoint_filter_fn", None)
    with suppress(Exception):  # Wrong weights are reported when they are loaded.
        state = adapt(state, network) if adapt else state
    if channels == 3:
        return state
    settings: dict[str, Any] = getattr(network, "pretrained_cfg", {})
    names = settings.get("first_conv") or ()
    for name in (names,) if isinstance(names, str) else names:
        key = f"{name}.weight"
        if key in state and state[key].shape[1] == 3:
            state = {**state, key: adapt_input_conv(channels, state[key])}
    return state
