"""Export: the same answers from the same files, without this project.

The way of a model: `graph` puts everything after decoding into one network, `formats` writes it as
an ONNX, OpenVINO or PyTorch file, `predict_script` is copied beside it, `parity` predicts real
files with both in another process and compares. `int8` makes the network smaller and faster.
"""
