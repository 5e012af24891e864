"""A model that is trained in a moment."""

from tests.commands.conftest import trained

__all__ = ["trained"]
