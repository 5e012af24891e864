"""Options classes are turned into command-line parameters."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import typer

from headstart.cli.parameters import with_options
from headstart.options import (
    CacheOptions,
    EvaluateOptions,
    ExportOptions,
    Options,
    PredictOptions,
    TrainOptions,
)
from tests.cli.conftest import Completed


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (("train",), TrainOptions),
        (("demo",), TrainOptions),
        (("predict",), PredictOptions),
        (("evaluate",), EvaluateOptions),
        (("export",), ExportOptions),
        (("cache", "info"), CacheOptions),
        (("cache", "clear"), CacheOptions),
    ],
)
def test_each_option_is_in_the_help(
    headstart: Callable[..., Completed],
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


def panels_of(shown: str) -> dict[str, list[str]]:
    """Return the options of each panel of a help text."""
    panels: dict[str, list[str]] = {}
    for line in shown.splitlines():
        if line.startswith("╭"):
            panels[line.strip("╭─╮ ")] = []
        elif line.startswith("│ --"):
            panels[list(panels)[-1]].append(line.split()[1])
    return panels


def test_options_are_grouped_by_step(headstart: Callable[..., Completed]) -> None:
    """The panels follow the steps of a training, the common options of each first."""
    assert panels_of(headstart("train", "--help").out) == {
        "Arguments": [],
        "Data": [
            *("--test", "--group", "--seed", "--task"),
            *("--labels", "--label-separator", "--uncertain", "--window", "--frames"),
            *("--prevalence", "--slices", "--patient-key", "--leakage", "--learning-curve"),
            "--compare",
        ],
        "Backbone": [
            *("--backbone", "--weights", "--orientations", "--scales", "--fit"),
            *("--image-size", "--backbones", "--sample", "--search", "--budget-ms"),
        ],
        "Features and head": [
            *("--head", "--features", "--balanced", "--head-memory", "--operating-point"),
        ],
        "Fine-tuning": [
            *(
                "--tune",
                "--objective",
                "--resume",
                "--no-hint",
                "--minutes",
                "--epochs",
                "--learning-rate",
            ),
            *("--augment", "--views", "--batch-size", "--mixup", "--store-gb", "--recipe"),
            "--log",
        ],
        "Boxes": ["--tiles"],
        "Output": ["--out", "--overwrite", "--keep-examples", "--json", "--help"],
        "Machine": ["--device", "--precision", "--cache", "--cluster", "--deterministic"],
    }


@pytest.mark.parametrize(
    ("command", "panels"),
    [
        (
            "demo",
            [
                *("Data", "Backbone", "Features and head", "Fine-tuning", "Boxes", "Output"),
                "Machine",
            ],
        ),
        ("recommend", ["Arguments", "Data", "Backbone", "Output", "Machine"]),
        ("predict", ["Arguments", "Boxes", "Output", "Machine"]),
        ("evaluate", ["Arguments", "Data", "Output", "Machine"]),
        ("compare", ["Arguments", "Data", "Output", "Machine"]),
        ("check", ["Arguments", "Data", "Backbone", "Output", "Machine"]),
        ("backbones", ["Arguments", "Backbone", "Output", "Machine"]),
    ],
)
def test_panels_of_the_other_commands(
    headstart: Callable[..., Completed], command: str, panels: list[str]
) -> None:
    """Every command uses the same panels."""
    assert list(panels_of(headstart(command, "--help").out)) == panels


@pytest.mark.parametrize("columns", ["80", "120"])
def test_a_description_is_short(
    headstart: Callable[..., Completed], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    """No option takes more than four lines in 80 columns, or three lines in 120 columns."""
    monkeypatch.setenv("COLUMNS", columns)
    lines = headstart("train", "--help").out.splitlines()
    first = [number for number, line in enumerate(lines) if line.startswith(("│ --", "╰"))]
    longest = max(after - before for before, after in pairwise(first) if lines[before][0] == "│")
    assert longest <= (4 if columns == "80" else 3)


def test_only_given_options_are_passed_on() -> None:
    """Omitted options do not count as given; an option given with its default value does."""
    received: list[TrainOptions] = []
    app = typer.Typer()

    @app.command()
    @with_options(TrainOptions)
    def command(*, options: TrainOptions) -> None:
        """Do nothing."""
        received.append(options)

    app(["--epochs", "10", "--backbone", "vgg16", "--balanced"], standalone_mode=False)
    assert received[0].given() == {"backbone": "vgg16", "balanced": True, "epochs": 10}
    assert received[0] == TrainOptions(backbone="vgg16", balanced=True)


def test_every_default_is_in_the_help(
    headstart: Callable[..., Completed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The help shows the default of each option."""
    monkeypatch.setenv("COLUMNS", "400")
    lines = headstart("train", "--help").out.splitlines()
    shown = {line.split()[1]: line for line in lines if line.startswith("│ --")}
    assert "(default: efficientnet-lite0)" in shown["--backbone"]
    assert "(default: 0.2)" in shown["--test"]
    assert "(default: 0)" in shown["--seed"]
    assert "[auto|linear|kernel|mlp|nearest] (default: auto)" in shown["--head"]
