"""End-to-end tests through the command line and the public API."""

from tests.cli.conftest import headstart, train

__all__ = ["headstart", "train"]
