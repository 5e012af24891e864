"""Reporting during training.

- `events`: the events, and the file `events.jsonl`.
- `trackers`: TensorBoard and MLflow.
- `listeners`: which of them receive events, and what happens if one fails.
"""
