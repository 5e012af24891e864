"""The command line: arguments become options, results become text."""

from headstart.cli.app import main

__all__ = ["main"]
