"""Heads as users have them."""

import pytest

from tests.conftest import STRENGTHS


@pytest.fixture(autouse=True)
def _all_strengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare heads at all strengths."""
    monkeypatch.setattr("headstart.heads.trials._STRENGTHS", STRENGTHS)
