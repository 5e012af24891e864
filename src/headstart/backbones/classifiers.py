"""Remove a network's classifier: all fully connected layers after the pooling."""

from collections.abc import Collection
from typing import Any

from torch import nn

from headstart.backbones.building import as_timm

_MIT_HEAD = ("head.classifier.0", "head.classifier.1", "head.classifier.2")
# timm removes the last layer only. These are the other modules of the classifier, by the class of
# the network: the first fully connected layer, and the activations and norms that follow it. VGG's
# first is a convolution over the whole map. A norm before the first layer is kept.
_HIDDEN = {
    "VGG": ("pre_logits",),
    "MobileNetV3": ("conv_head", "norm_head", "act2"),
    "MobileNetV5": ("conv_head", "norm_head"),
    "GhostNet": ("conv_head", "act2"),
    "RepGhostNet": ("conv_head", "act2"),
    "LCNetV2": ("conv_head", "act2"),
    "FasterNet": ("conv_head", "act"),
    "HighPerfGpuNet": ("head.last_conv",),
    "EfficientVit": _MIT_HEAD,
    "EfficientVitLarge": _MIT_HEAD,
    "CPUBone": ("head.pre_classifier",),
    "LowFormer": ("pre_classifier",),
    "MetaNeXt": ("head.fc1", "head.act", "head.norm"),
}
# Its name in the classifier that several families share (ConvNeXt of CLIP, MaxViT, MambaOut …).
_SHARED_HIDDEN = ("head.pre_logits",)


def drop_classifier(network: nn.Module) -> None:
    """Remove all layers after the pooling except norms."""
    drop_last_layer(network)
    names = _hidden_layers(network)
    if not names:
        return
    weights = network.get_submodule(names[0]).parameters()
    width = next(weight.shape[1] for weight in weights if weight.ndim > 1)
    for name in names:
        network.set_submodule(name, nn.Identity())
    network.head_hidden_size = width  # type: ignore[assignment]


def drop_last_layer(network: nn.Module) -> None:
    """Remove only the last layer, since earlier bundles have the classifier's hidden layers."""
    as_timm(network).reset_classifier(0)


def has_hidden_layers(network: nn.Module, tensors: Collection[str]) -> bool:
    """Return whether the names include tensors of the classifier's hidden layers."""
    hidden = _hidden_prefixes(network)
    return any(name.startswith(hidden) for name in tensors)


def classifier_prefixes(network: nn.Module) -> tuple[str, ...]:
    """Return the prefixes of the names of the classifier's tensors."""
    settings: dict[str, Any] = getattr(network, "pretrained_cfg", {})
    last = settings.get("classifier") or ()
    return ((last,) if isinstance(last, str) else tuple(last)) + _hidden_prefixes(network)


def _hidden_prefixes(network: nn.Module) -> tuple[str, ...]:
    return tuple(f"{name}." for name in _hidden_layers(network))


def _hidden_layers(network: nn.Module) -> tuple[str, ...]:
    """Return the names of the classifier's modules, without the last layer."""
    names = _HIDDEN.get(type(network).__name__, _SHARED_HIDDEN)
    modules = dict(network.named_modules())
    first = modules.get(names[0])
    connected = first is not None and any(True for _ in first.parameters())
    return tuple(name for name in names if name in modules) if connected else ()
