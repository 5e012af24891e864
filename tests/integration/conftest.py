"""Whole jobs, through the doors that users take."""

from tests.cli.conftest import headstart, train

__all__ = ["headstart", "train"]
