"""How long things take, found by timing them.

- `timing`: the fastest way to take a training step.
- `plan`: how much of the network can be trained in the time that there is.
- `session`: what timing decided, for a run that is resumed.
"""
