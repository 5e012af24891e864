"""Options classes become command-line parameters."""

from collections.abc import Callable

import pytest

from headstart.options import (
    CacheOptions,
    EvaluateOptions,
    Options,
    PredictOptions,
    TrainOptions,
)
from tests.cli.conftest import Done


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (("train",), TrainOptions),
        (("demo",), TrainOptions),
        (("predict",), PredictOptions),
        (("evaluate",), EvaluateOptions),
        (("cache", "info"), CacheOptions),
        (("cache", "clear"), CacheOptions),
    ],
)
def test_each_option_is_in_the_help(
    headstart: Callable[..., Done],
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    options: type[Options],
) -> None:
    """The help of a command shows every field of its options class, with its description."""
    monkeypatch.setenv("COLUMNS", "400")
    shown = headstart(*command, "--help").out
    for name, field in options.model_fields.items():
        assert f"--{name.replace('_', '-')} " in shown
        assert str(field.description) in shown


def test_every_default_is_in_the_help(
    headstart: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What happens without an option is shown beside it."""
    monkeypatch.setenv("COLUMNS", "400")
    lines = headstart("train", "--help").out.splitlines()
    shown = {line.split()[1]: line for line in lines if line.startswith("│ --")}
    assert "[default: efficientnet-lite0]" in shown["--backbone"]
    assert "[default: 0.2]" in shown["--test"]
    assert "[default: 0]" in shown["--seed"]
    assert "[default: auto]" in shown["--head"]
