"""The command line: arguments become options, and results become text."""

from headstart.cli.app import main

__all__ = ["main"]
