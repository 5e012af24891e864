"""The keywords of the library's functions, one class for each class of options.

Editors and type checkers read them. Meanings and defaults are in `options.py`; a test keeps the
names and types of both equal.
"""

import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypedDict, TypeVar, get_type_hints

from headstart.options import (
    AugmentOption,
    CropOption,
    DeviceOption,
    ExportFormat,
    FeaturesOption,
    FitOption,
    FramesOption,
    HeadOption,
    ObjectiveOption,
    Options,
    OrientationsOption,
    Panel,
    PrecisionOption,
    PredictionFormat,
    RecipeOption,
    ScalesOption,
    SetMethod,
    SplitOption,
    TaskOption,
    UncertainOption,
)

_P = ParamSpec("_P")
_T = TypeVar("_T")

_WIDTH = 92


class CacheKeywords(TypedDict, total=False):
    """See `CacheOptions`."""

    cache: str | Path | None


class LabelKeywords(TypedDict, total=False):
    """See `LabelOptions`."""

    labels: str | None
    label_separator: str
    uncertain: UncertainOption


class MedicalKeywords(TypedDict, total=False):
    """See `MedicalOptions`."""

    window: str
    frames: FramesOption


class PatientKeywords(TypedDict, total=False):
    """See `PatientOptions`."""

    patient_key: str | Path | None


class OpenKeywords(MedicalKeywords, LabelKeywords, CacheKeywords, total=False):
    """See `OpenOptions`."""

    task: TaskOption
    test: float
    group: str | None
    seed: int


class DeviceKeywords(TypedDict, total=False):
    """See `DeviceOptions`."""

    device: DeviceOption
    precision: PrecisionOption


class ComputeKeywords(CacheKeywords, DeviceKeywords, total=False):
    """See `ComputeOptions`."""


class ClusterKeywords(TypedDict, total=False):
    """See `ClusterOptions`."""

    cluster: str | None


class RunKeywords(TypedDict, total=False):
    """See `RunOptions`."""

    out: str | Path | None
    overwrite: bool


class TryKeywords(OpenKeywords, ClusterKeywords, ComputeKeywords, total=False):
    """See `TryOptions`."""

    image_size: int | None
    backbones: str | None
    sample: int
    search: int | None
    budget_ms: float | None


class RecommendKeywords(RunKeywords, TryKeywords, total=False):
    """See `RecommendOptions`."""


class TuneKeywords(TypedDict, total=False):
    """See `TuneOptions`."""

    deterministic: bool
    minutes: float | None
    epochs: int
    learning_rate: float | None
    augment: AugmentOption
    views: int
    batch_size: int
    mixup: float
    store_gb: float
    recipe: RecipeOption
    log: str


class PartKeywords(TypedDict, total=False):
    """See `PartOptions`."""

    tune: str
    objective: ObjectiveOption
    resume: bool
    no_hint: bool


class HeadKeywords(TypedDict, total=False):
    """See `HeadOptions`."""

    head: HeadOption
    features: FeaturesOption
    balanced: bool
    head_memory: float | None
    operating_point: str | None


class BackboneKeywords(TypedDict, total=False):
    """See `BackboneOptions`."""

    backbone: str
    weights: str
    orientations: OrientationsOption
    scales: ScalesOption
    fit: FitOption


class PrevalenceKeywords(TypedDict, total=False):
    """See `PrevalenceOptions`."""

    prevalence: float | None


class SliceKeywords(TypedDict, total=False):
    """See `SliceOptions`."""

    slices: str | None


class LeakageKeywords(TypedDict, total=False):
    """See `LeakageOptions`."""

    leakage: bool


class StudyKeywords(TypedDict, total=False):
    """See `StudyOptions`."""

    learning_curve: bool
    compare: str | Path | None


class ExampleKeywords(TypedDict, total=False):
    """See `ExampleOptions`."""

    keep_examples: int


class TileKeywords(TypedDict, total=False):
    """See `TileOptions`."""

    tiles: int | None


class TrainKeywords(
    ExampleKeywords,
    RunKeywords,
    TuneKeywords,
    PartKeywords,
    StudyKeywords,
    LeakageKeywords,
    PatientKeywords,
    SliceKeywords,
    PrevalenceKeywords,
    HeadKeywords,
    TileKeywords,
    TryKeywords,
    BackboneKeywords,
    total=False,
):
    """See `TrainOptions`."""


class AnswerKeywords(TypedDict, total=False):
    """See `AnswerOptions`."""

    top: int
    coverage: float | None
    set_method: SetMethod
    max_error: float | None


class PredictKeywords(AnswerKeywords, TileKeywords, ClusterKeywords, ComputeKeywords, total=False):
    """See `PredictOptions`."""

    max_pixels: int
    out: str | Path | None
    format: PredictionFormat
    explain: str | Path | None
    pictures: str | Path | None
    overwrite: bool


class ExplainKeywords(ComputeKeywords, total=False):
    """See `ExplainOptions`."""

    label: str | None
    out: str | Path
    nearest: int
    overwrite: bool


class ExportKeywords(CacheKeywords, total=False):
    """See `ExportOptions`."""

    format: ExportFormat
    out: str | Path
    images: str | Path | None
    half: bool
    int8: bool
    max_drop: float
    only_features: bool
    overwrite: bool


class ShiftKeywords(ComputeKeywords, total=False):
    """See `ShiftOptions`."""

    label_first: int


class VerifyKeywords(ComputeKeywords, total=False):
    """See `VerifyOptions`."""

    weights: str
    crop: CropOption
    slices: str | None


class PushKeywords(TypedDict, total=False):
    """See `PushOptions`."""

    private: bool
    overwrite: bool
    message: str


class SplitKeywords(TypedDict, total=False):
    """See `SplitOptions`."""

    split: SplitOption


class PlanKeywords(TypedDict, total=False):
    """See `PlanOptions`."""

    report: str | Path | None
    plan: str | Path | None
    apply: str | Path | None
    out: str | Path | None
    overwrite: bool


class LabelErrorKeywords(TypedDict, total=False):
    """See `LabelErrorOptions`."""

    no_label_errors: bool
    backbone: str
    weights: str


class CheckKeywords(PlanKeywords, LabelErrorKeywords, OpenKeywords, ComputeKeywords, total=False):
    """See `CheckOptions`."""


class CompareKeywords(SliceKeywords, SplitKeywords, LabelKeywords, ComputeKeywords, total=False):
    """See `CompareOptions`."""

    report: str | Path | None
    overwrite: bool


class EvaluateKeywords(
    SliceKeywords,
    PrevalenceKeywords,
    SplitKeywords,
    LabelKeywords,
    ComputeKeywords,
    total=False,
):
    """See `EvaluateOptions`."""

    out: str | Path | None
    overwrite: bool


def set_signature(function: Callable[..., object], signature: inspect.Signature) -> None:
    """Replace the signature that `inspect` and editors show for a function."""
    function.__signature__ = signature  # type: ignore[attr-defined]


def with_keywords(
    options: type[Options], keywords: type
) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Create a decorator that shows each option in the signature and docstring of a function.

    Args:
        options: The meanings and defaults.
        keywords: The types.
    """

    def decorate(function: Callable[_P, _T]) -> Callable[_P, _T]:
        own = inspect.signature(function)
        parameters = [
            parameter
            for parameter in own.parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        parameters += _parameters(options, keywords)
        set_signature(function, own.replace(parameters=parameters))
        listed = "\n".join(_described(name, options) for name in _in_order(options))
        function.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\nOptions:\n{listed}\n"
        return function

    return decorate


def _parameters(options: type[Options], keywords: type) -> list[inspect.Parameter]:
    types = get_type_hints(keywords)
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=options.model_fields[name].default,
            annotation=types[name],
        )
        for name in _in_order(options)
    ]


def _in_order(options: type[Options]) -> list[str]:
    """Return the names of options, panel by panel, as in the help of the command line."""
    panels = list(Panel)
    return sorted(options.model_fields, key=lambda name: panels.index(options.panel_of(name)))


def _described(name: str, options: type[Options]) -> str:
    """Return the entry of an option in a docstring."""
    field = options.model_fields[name]
    text = re.sub(r"--([a-z][a-z-]*)", _as_keyword, str(field.description))
    default = "" if field.default is None else f" Default: {field.default!r}."
    return textwrap.fill(
        f"{name}: {text}{default}",
        _WIDTH,
        initial_indent=" " * 4,
        subsequent_indent=" " * 8,
        break_on_hyphens=False,
    )


def _as_keyword(flag: re.Match[str]) -> str:
    """Return a flag of the command line as it is written in Python."""
    return flag[1].replace("-", "_")
