"""Names of architectures with arguments, such as `vit_tiny_patch16_224{"patch_size": 8}`."""

import json
from collections.abc import Mapping
from typing import Any

from headstart.errors import BackboneError

# Only what shapes a network. timm's other arguments may load files.
ARGUMENTS = (
    *("img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "qkv_bias"),
    *("init_values", "class_token", "no_embed_class", "reg_tokens", "pre_norm", "final_norm"),
    *("fc_norm", "global_pool", "pos_embed", "dynamic_img_size", "num_classes"),
)


def with_arguments(architecture: str, arguments: Mapping[str, Any]) -> str:
    """Return the name of an architecture with arguments, of which ARGUMENTS are possible.

    The number of classes is left out, since the classifier is.
    """
    kept = {key: value for key, value in sorted(arguments.items()) if key != "num_classes"}
    return architecture + (json.dumps(kept) if kept else "")


def split_arguments(architecture: str) -> tuple[str, dict[str, Any]]:
    """Split the name of an architecture from its arguments.

    Raises:
        BackboneError: The arguments cannot be read, or are not among ARGUMENTS.
    """
    name, brace, rest = architecture.partition("{")
    if not brace:
        return name, {}
    try:
        arguments = json.loads(brace + rest)
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict) or not set(arguments) <= set(ARGUMENTS):
        raise BackboneError(f"The arguments of the architecture '{architecture}' are not known.")
    return name, arguments
