"""A tiny trained model."""

from tests.commands.conftest import trained

__all__ = ["trained"]
