"""The options of how a model is measured; see `options.py`."""

from typing import Literal

from pydantic import Field

from headstart.strict import LenientPath, Options, Panel

SplitOption = Literal["auto", "all", "train", "val", "test"]


class PrevalenceOptions(Options):
    """Where a model is used."""

    panel = Panel.DATA

    prevalence: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Share of images with the label where the model is used, such as 0.02: "
        "predictive values at the operating point are given for it too.",
    )


class SliceOptions(Options):
    """By what results are divided."""

    panel = Panel.DATA

    slices: str | None = Field(
        None,
        description="Columns of the table, such as sex,site: metrics are given for each value too, "
        "with a warning where one differs by more than chance.",
    )


class LeakageOptions(Options):
    """Whether leakage between images that belong together is measured."""

    panel = Panel.DATA

    leakage: bool = Field(
        False,
        description="Cross-validate the frozen head with and without the groups, which are those "
        "of --group or guessed, to measure what their leakage is worth.",
    )


class StudyOptions(Options):
    """What else is measured with a trained model."""

    panel = Panel.DATA

    learning_curve: bool = Field(
        False,
        description="Forecast how accuracy would grow with more images, by refits on fewer.",
    )
    compare: LenientPath | None = Field(
        None,
        description="Compare with the model of an earlier run on the same test images, with the "
        "interval and the p-value of each difference.",
    )


class SplitOptions(Options):
    """Which images a model is evaluated on."""

    panel = Panel.DATA

    split: SplitOption = Field(
        "auto",
        description="Images to evaluate on; auto is the test part, or all of DATA without one.",
    )
