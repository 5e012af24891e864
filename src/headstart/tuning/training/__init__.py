"""One training, from a fitted head and the part above the boundary to weights.

- `network`: what is trained: the part above the boundary with a head.
- `recipe`: the numbers, the optimiser and the schedule.
- `examples`: the images of a training, their order and their batches.
- `step`: one step: forward, backward, and smaller parts where memory is short.
- `state`, `checkpoint`: everything that changes during a training, and how it is kept.
- `loop`: epochs, and why they end; `hooks` is what else happens at each step and epoch.
- `depthwise` makes a step faster; `interruption` turns Ctrl-C into an orderly end.
"""
