"""Convert a network from PyTorch to OpenVINO; only this part of the engine needs PyTorch."""

import warnings
from collections.abc import Callable

import torch
from torch import nn

from headstart.engines.quiet_openvino import ov


def convert(network: nn.Module, size: int) -> ov.Model:
    """Trace a network and convert it to an OpenVINO model.

    `ov.convert_model` does the same but takes four times as long and sends telemetry.
    """
    # This import must come after that of `quiet_openvino`.
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    example = torch.zeros(1, size, size, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        trace: Callable[..., torch.jit.ScriptModule] = torch.jit.trace
        traced = torch.jit.freeze(trace(network.eval(), example, check_trace=False))
        decoder = TorchScriptPythonDecoder(traced, example_input=(example,))
    frontend = ov.frontend.FrontEndManager().load_by_framework("pytorch")
    model = frontend.convert(frontend.load(decoder))
    (images,) = model.get_parameters()
    images.set_element_type(ov.Type.u8)
    images.set_partial_shape(ov.PartialShape([-1, size, size, 3]))
    model.validate_nodes_and_infer_types()
    return model
