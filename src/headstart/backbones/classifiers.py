"""What belongs to a network's classifier: every fully connected layer above the pooling."""

from collections.abc import Collection
from typing import Any

from torch import nn

from headstart.backbones.building import as_timm

_MIT_HEAD = ("head.classifier.0", "head.classifier.1", "head.classifier.2")
# timm takes away the last layer. What else stands between the pooling and that layer, by the class
# of the network: the first fully connected layer, and the activations and norms that follow it.
# VGG's first is a convolution over the whole map. A norm before it stays.
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
# timm's heads that several families share (ConvNeXt of CLIP, MaxViT, MambaOut …) call it this.
_SHARED_HIDDEN = ("head.pre_logits",)


def drop_classifier(network: nn.Module) -> None:
    """Leave nothing above the pooling but norms."""
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
    """Leave the hidden layers of the classifier, which earlier bundles have."""
    as_timm(network).reset_classifier(0)


def has_hidden_layers(network: nn.Module, tensors: Collection[str]) -> bool:
    """Return whether tensors of the classifier's hidden layers are among those named."""
    hidden = _hidden_prefixes(network)
    return any(name.startswith(hidden) for name in tensors)


def classifier_prefixes(network: nn.Module) -> tuple[str, ...]:
    """Return what the names of the classifier's tensors begin with."""
    settings: dict[str, Any] = getattr(network, "pretrained_cfg", {})
    last = settings.get("classifier") or ()
    return ((last,) if isinstance(last, str) else tuple(last)) + _hidden_prefixes(network)


def _hidden_prefixes(network: nn.Module) -> tuple[str, ...]:
    return tuple(f"{name}." for name in _hidden_layers(network))


def _hidden_layers(network: nn.Module) -> tuple[str, ...]:
    """Return the modules from the classifier's first fully connected layer to before its last."""
    names = _HIDDEN.get(type(network).__name__, _SHARED_HIDDEN)
    modules = dict(network.named_modules())
    first = modules.get(names[0])
    connected = first is not None and any(True for _ in first.parameters())
    return tuple(name for name in names if name in modules) if connected else ()
