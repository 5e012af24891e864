"""From PyTorch to OpenVINO: the only part of that engine that needs PyTorch."""

import warnings
from collections.abc import Callable

import torch
from torch import nn

from headstart.engines.quiet_openvino import ov


def convert(network: nn.Module, size: int) -> ov.Model:
    """Trace and translate the network.

    Not `ov.convert_model`: it does the same in four times the time and reports its use to a
    server.
    """
    # After `quiet_openvino`, whatever the order of imports above.
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
