"""The kinds of label: each implements the protocol of `task.py` with what the rooms below offer."""
