"""Export: the same answers from the same files, without this project.

The way of a model: `graph` puts everything after decoding into one network, `formats` writes it as
an ONNX, OpenVINO or PyTorch file, `script` writes a program beside it and runs it in another
process, `parity` compares its answers to real files. `int8` quantises the network. `job` is the
order of it all.
"""
