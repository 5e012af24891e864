"""An option without an effect is an error that says why and what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import headstart as hs
from headstart.commands.backbones import list_backbones
from headstart.errors import OptionError
from headstart.options import BackbonesOptions
from headstart.watching import SilentWatcher
from tests.commands.conftest import QUICK

LOCAL = "Add --cluster local for processes of this machine."
UNTUNED = "without fine-tuning. Add --tune, such as --tune auto."
UNCOMPARED = "unless backbones are compared. Add --backbone auto."
ORIENTED = "with --orientations, because fine-tuning uses those orientations. Remove it."


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"minutes": 5.0}, f"--minutes 5.0 has no effect {UNTUNED}"),
        (
            {"backbone": "auto", "search": 8},
            f"--search 8 has no effect without --cluster. {LOCAL}",
        ),
        ({"epochs": 3}, f"--epochs 3 has no effect {UNTUNED}"),
        ({"epochs": 10}, f"--epochs 10 has no effect {UNTUNED}"),  # The default, but given.
        ({"learning_rate": 0.1}, f"--learning-rate 0.1 has no effect {UNTUNED}"),
        ({"augment": "strong"}, f"--augment strong has no effect {UNTUNED}"),
        ({"views": 2}, f"--views 2 has no effect {UNTUNED}"),
        ({"batch_size": 8}, f"--batch-size 8 has no effect {UNTUNED}"),
        ({"mixup": 0.2}, f"--mixup 0.2 has no effect {UNTUNED}"),
        ({"store_gb": 2.0}, f"--store-gb 2.0 has no effect {UNTUNED}"),
        ({"log": "tensorboard"}, f"--log tensorboard has no effect {UNTUNED}"),
        ({"resume": True}, f"--resume has no effect {UNTUNED}"),
        ({"backbones": "vgg16"}, f"--backbones vgg16 has no effect {UNCOMPARED}"),
        ({"sample": 500}, f"--sample 500 has no effect {UNCOMPARED}"),
        ({"budget_ms": 3.0}, f"--budget-ms 3.0 has no effect {UNCOMPARED}"),
        (
            {"backbone": "auto", "weights": "random"},
            (
                "--weights random has no effect with --backbone auto. Specify weights per "
                "backbone: --backbones NAME=WEIGHTS,…"
            ),
        ),
        (
            {"head": "nearest", "balanced": True},
            (
                "--balanced has no effect with --head nearest, which averages each class "
                "separately. Remove it."
            ),
        ),
        (
            {"tune": "all", "orientations": "mirror", "augment": "strong"},
            f"--augment strong has no effect {ORIENTED}",
        ),
        (
            {"tune": "all", "orientations": "dihedral", "augment": "flip"},
            f"--augment flip has no effect {ORIENTED}",
        ),
        (
            {"tune": "all", "orientations": "dihedral", "views": 8},
            f"--views 8 has no effect {ORIENTED}",
        ),
        (
            {"tune": "all", "augment": "none", "views": 8},
            (
                "--views 8 has no effect with --augment none, which leaves one view per "
                "image. Remove it."
            ),
        ),
        (
            {"overwrite": True},
            (
                "--overwrite has no effect without --out, because each run gets a new folder. Add "
                "--out with the run to replace."
            ),
        ),
        (
            {"scales": "two", "features": "last"},
            (
                "--scales two has no effect with --features, because those have one scale. Remove "
                "one of the two."
            ),
        ),
        (
            {"scales": "two", "tune": "stages:1"},
            (
                "Fine-tuning trains at one scale, so it cannot start from scales 'two'. Use scales "
                "'one', or do not fine-tune."
            ),
        ),
        (
            {"recipe": "tutorial", "head": "linear"},
            (
                "The tutorial's recipe has a head of its own. Got head linear. "
                "Leave out that option, or the recipe."
            ),
        ),
    ],
)
def test_an_option_without_an_effect_is_refused(
    tmp_path: Path, options: dict[str, Any], text: str
) -> None:
    """The error is raised before the data is opened; it does not exist here."""
    with pytest.raises(OptionError) as caught:
        hs.train(tmp_path / "missing", **options)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "options",
    [
        {"minutes": None, "resume": False, "log": "", "backbones": None, "overwrite": False},
        {"tune": "auto", "epochs": 3, "minutes": 5.0, "augment": "dihedral", "views": 8},
        {"tune": "all", "orientations": "dihedral", "augment": "dihedral"},
        {"recipe": "tutorial", "minutes": 5.0, "store_gb": 2.0, "resume": True, "epochs": 5},
        {"recipe": "tutorial", "image_size": 64},
        {"backbone": "auto", "sample": 500, "budget_ms": 3.0, "image_size": 64},
    ],
)
def test_an_option_with_an_effect_is_accepted(tmp_path: Path, options: dict[str, Any]) -> None:
    """The error is about the missing data, not about the options."""
    with pytest.raises(hs.HeadstartError, match=r"^Data '.*missing' does not exist\.$"):
        hs.train(tmp_path / "missing", out=tmp_path / "run", **options)


def test_overwrite_has_no_effect_on_recommend_without_out(tmp_path: Path) -> None:
    """Without `out` there is nothing to overwrite."""
    with pytest.raises(OptionError, match=r"^--overwrite has no effect without --out, "):
        hs.recommend(tmp_path / "missing", overwrite=True)


def test_a_device_has_no_effect_on_a_list() -> None:
    """`backbones` runs no network without --measure."""
    with pytest.raises(OptionError) as caught:
        list_backbones("", BackbonesOptions.of(device="cpu"), SilentWatcher())
    assert str(caught.value) == (
        "--device cpu has no effect unless backbones are run. Add --measure."
    )


@pytest.mark.parametrize("command", [hs.train, hs.recommend])
def test_a_test_share_has_no_effect_on_a_given_split(
    trained: Any, tmp_path: Path, command: Callable[..., Any]
) -> None:
    """Images in train/ and test/ are already split."""
    photos = trained.run.parent / "photos"
    with pytest.raises(OptionError) as caught:
        command(photos, test=0.3, out=tmp_path / "run", cache=tmp_path / "cache")
    assert str(caught.value) == (
        f"--test 0.3 has no effect: '{photos}' already has test images, by its folders or its "
        "split column. Omit --test, or remove that split."
    )
    with pytest.raises(OptionError, match=r"^--test 0\.3 has no effect"):
        hs.open_images(photos, test=0.3)


def test_omitted_options_are_recorded(trained: Any) -> None:
    """The record has all options, including those without an effect."""
    assert trained.record.options["epochs"] == 10
    assert trained.record.options["head"] == QUICK["head"]


@pytest.mark.parametrize(
    ("name", "value"), [("labels", "a"), ("label_separator", ";"), ("uncertain", "absent")]
)
def test_labels_have_no_effect_on_the_data_of_a_run(trained: Any, name: str, value: str) -> None:
    """They are known from the training; elsewhere, it depends on the model and the data."""
    flag = f"--{name.replace('_', '-')}"
    with pytest.raises(OptionError) as caught:
        hs.evaluate(trained.run, **{name: value})
    assert str(caught.value) == (
        f"{flag} {value} has no effect without DATA, because the labels are those of the training. "
        "Remove it."
    )
    photos = trained.run.parent / "photos"
    with pytest.raises(OptionError, match=f"^{flag} '{value}' has no effect for a folder, whose "):
        hs.evaluate(trained.run, photos, cache=photos.parent / "cache", **{name: value})
