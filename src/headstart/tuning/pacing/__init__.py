"""Timing of training steps, and plans based on it.

- `timing`: the fastest way to take a training step.
- `plan`: how much of the network can be trained in the available time.
- `session`: decisions based on timing, for resumed trainings.
"""
