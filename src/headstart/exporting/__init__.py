"""Export: the same answers from the same files, without this project.

The way of a model: `graph` puts everything after decoding into one network, `formats` writes it as
an ONNX, OpenVINO or PyTorch file, `script` writes a program beside it and runs it in another
process, `parity` compares its answers to real files. `int8` quantises the network. `job` is the
order of it all.

A detector goes the same way: `detector_graph`, `formats`, `script`, `detector_parity`, with
`suppression` where rounding decides between boxes, and `detector_job`. `output` is the folder of
both.
"""
