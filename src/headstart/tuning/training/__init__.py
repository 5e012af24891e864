"""One training: starts from a fitted head and the part above the boundary, and returns weights.

- `network`: the trained network: the part above the boundary with a head.
- `recipe`: hyperparameters, optimiser and schedule.
- `examples`: the images of a training, their order and their batches.
- `step`: one step: forward and backward pass, with gradient accumulation if memory is short.
- `setup`: what a training starts from; `workers`: the processes that share it.
- `state`, `checkpoint`: everything that changes during a training, and how it is saved.
- `loop`: the epochs, and when to stop; `hooks`: actions after each step and epoch.
- `depthwise` makes steps faster; `interruption` ends training cleanly on Ctrl-C.
"""
