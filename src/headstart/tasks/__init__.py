"""The tasks: implementations of the protocol in `task.py`, on top of the packages below."""
