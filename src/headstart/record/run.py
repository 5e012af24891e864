"""The record of a run: the writer of `metrics.json`, and the reader of all its versions."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Literal

from pydantic import JsonValue, TypeAdapter, ValidationError

from headstart.arrays import Temperature
from headstart.errors import RecordError
from headstart.files import write_atomically
from headstart.options import TrainOptions
from headstart.record.comparison import ComparisonRecord
from headstart.record.data_check import Shortcut
from headstart.record.detection import DetectionCourse, MissingBox
from headstart.record.estimates import Disagreement, Leakage, Series, Use
from headstart.record.evaluation import Evaluation
from headstart.record.label_audit import LabelAudit
from headstart.record.learning_curve import LearningCurve
from headstart.record.limits import LimitsResult
from headstart.record.values import (
    Candidate,
    Data,
    Leak,
    MetricTuning,
    PrecisionTrial,
    Recommendation,
    Rejection,
    Source,
    Tuning,
)

SCHEMA = 2
"""The version of the layout of `metrics.json`. Files of version 1 do not have this number."""

FILE = "metrics.json"

# Options that change no result.
_OF_ONE_RUN = ("out", "cache", "overwrite", "resume")


@dataclass(frozen=True)
class Record:
    """All measurements of a training run.

    Attributes:
        headstart: The version of headstart that wrote it.
        created: Date and time in ISO 8601 with the time zone; None without times.
        task: The name of the task.
        data: The images.
        backbone: The name of the backbone.
        weights: The source of its weights.
        features: The features that the head reads.
        head: The kind of the head.
        temperature: The divisor of scores that calibrates probabilities.
        tuned: The part of the backbone that was fine-tuned; None unless the result was kept.
        tuning: The course and result of fine-tuning; None without fine-tuning.
        engine: "openvino" or "torch".
        precision: "bf16" or "float32".
        precision_trial: The measurement that decided the precision; None if it was not measured.
        image_size: The side of the square input of the backbone, in pixels.
        seed: The random seed.
        options: The options of the run, including defaults.
        choice: The heads that were compared, the chosen one first.
        test: Results on the test part; None without a test part.
        rejected: Images that could not be used.
        warnings: Warnings about the data.
        leaks: Copies of images that are in different parts of a given split.
        seconds: Duration of each step: start (of the command), scan, extract, head, tune, limits
            (of a detector), total.
        recommendation: How the backbone was chosen; None if the user chose it.
        chosen_on: What decided between the heads: "folds" or "val", the validation part.
        why_chosen: The reason, as a clause; "" if nothing was compared.
        validation: Results of the final model on the validation part; None without one.
        val_used_for: What the validation part was used for.
        disagreements: The parts on which the folds' estimate was not confirmed.
        series: Series among the training images, if any were found and no groups were given.
        leakage: What folds say with and without groups; None if it was not measured.
        hint: Whether fine-tuning would probably help; "" if that is not known.
        shortcuts: Traits of files that distinguish classes.
        label_audit: Labels that the model doubts; None without a test or validation part.
        learning_curve: How accuracy would grow with more images; None if it was not measured.
        limits: What the model knows about its own limits; None without a test or validation part,
            and in records of earlier versions.
        compared: The comparison with an earlier run; None without one.
        detection: The course of the training of a detector; None for other tasks.
        missing_boxes: Boxes that are probably missing in the labels of the test images and of
            those on which thresholds were chosen, the most probable first.
        metric_tuning: The result of metric tuning; None without it.
        schema: The version of this layout.
    """

    headstart: str
    created: str | None
    task: str
    data: Data
    backbone: str
    weights: str
    features: str
    head: str
    temperature: Temperature
    tuned: str | None
    tuning: Tuning | None
    engine: str
    precision: str
    precision_trial: PrecisionTrial | None
    image_size: int
    seed: int
    options: Mapping[str, JsonValue]
    choice: tuple[Candidate, ...]
    test: Evaluation | None
    rejected: tuple[Rejection, ...]
    warnings: tuple[str, ...]
    leaks: tuple[Leak, ...]
    seconds: dict[str, float]
    recommendation: Recommendation | None = None
    chosen_on: Literal["folds", "val"] = "folds"
    why_chosen: str = ""
    validation: Evaluation | None = None
    val_used_for: tuple[Use, ...] = ()
    disagreements: tuple[Disagreement, ...] = ()
    series: Series | None = None
    leakage: Leakage | None = None
    hint: str = ""
    shortcuts: tuple[Shortcut, ...] = ()
    label_audit: LabelAudit | None = None
    learning_curve: LearningCurve | None = None
    limits: LimitsResult | None = None
    compared: ComparisonRecord | None = None
    detection: DetectionCourse | None = None
    missing_boxes: tuple[MissingBox, ...] = ()
    metric_tuning: MetricTuning | None = None
    schema: int = SCHEMA

    @property
    def reported(self) -> Evaluation | None:
        """The results to report: on the test part or, without one, on the validation part."""
        return self.test or self.validation

    @property
    def command(self) -> str:
        """The command that repeats the training, with the options that are not the defaults."""
        given = [
            text
            for name, value in self.options.items()
            if name not in _OF_ONE_RUN
            for text in _as_arguments(name, value)
        ]
        return shlex.join(["headstart", "train", self.data.source, *given])

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        values: dict[str, JsonValue] = _RECORD.dump_python(self, mode="json")
        return values

    def write(self, path: Path) -> None:
        """Write the record to a run folder or a file, completely or not at all.

        Raises:
            OSError: The file cannot be written.
        """
        file = path / FILE if path.is_dir() else path
        write_atomically(file, _RECORD.dump_json(self, indent=2) + b"\n")

    def without_times(self) -> "Record":
        """Return the record without the values that differ between two deterministic runs.

        These are dates, durations and output paths.
        """
        return replace(
            self,
            created=None,
            seconds={},
            options={
                name: value for name, value in self.options.items() if name not in _OF_ONE_RUN
            },
            tuning=self.tuning.without_times() if self.tuning else None,
            detection=self.detection.without_times() if self.detection else None,
            metric_tuning=self.metric_tuning.without_times() if self.metric_tuning else None,
        )

    @staticmethod
    def of(values: Mapping[str, JsonValue], name: str) -> "Record":
        """Build a record from the JSON values of any version up to this one.

        Args:
            values: The content of a `metrics.json`.
            name: The name of the file, for error messages.

        Raises:
            RecordError: The values are incomplete, or of a later version.
        """
        version = values.get("schema", 1)
        if not isinstance(version, int) or version > SCHEMA:
            raise RecordError(
                f"'{name}' has version {version}, but this version of headstart reads only "
                f"up to {SCHEMA}. Upgrade headstart."
            )
        try:
            return _RECORD.validate_python(_upgrade_version_1(values) if version == 1 else values)
        except (ValidationError, KeyError, TypeError, AttributeError) as error:
            raise RecordError(f"'{name}' is incomplete or damaged: {_reason(error)}.") from None

    @staticmethod
    def read(path: str | PathLike[str]) -> "Record":
        """Read a record of any version up to this one from a run folder or its `metrics.json`.

        Raises:
            RecordError: The file is missing, damaged or of a later version.
        """
        file = Path(path) / FILE if Path(path).is_dir() else Path(path)
        try:
            values = _JSON.validate_json(file.read_bytes())
        except OSError as error:
            raise RecordError(f"'{file}' cannot be read: {error.strerror}.") from None
        except ValidationError as error:
            raise RecordError(f"'{file}' is incomplete or damaged: {_reason(error)}.") from None
        return Record.of(values, str(file))


@dataclass(frozen=True)
class RecommendationRecord:
    """The measurements of a run of `recommend`.

    Attributes:
        headstart: The version of headstart that wrote it.
        data: The images that backbones were compared on.
        recommendation: The result.
        schema: The version of this layout.
    """

    headstart: str
    data: Source
    recommendation: Recommendation
    schema: int = SCHEMA

    def write(self, path: Path) -> None:
        """Write the record to a file, completely or not at all.

        Raises:
            OSError: The file cannot be written.
        """
        write_atomically(path, TypeAdapter(RecommendationRecord).dump_json(self, indent=2) + b"\n")


_RECORD = TypeAdapter(Record)
_JSON = TypeAdapter(dict[str, JsonValue])


def recommendation_json(recommendation: Recommendation) -> dict[str, JsonValue]:
    """Return a recommendation as plain JSON values."""
    values: dict[str, JsonValue] = TypeAdapter(Recommendation).dump_python(
        recommendation, mode="json"
    )
    return values


def _as_arguments(name: str, value: object) -> list[str]:
    """Return an option as it is typed; nothing if it has its default."""
    field = TrainOptions.model_fields.get(name)
    default = field.get_default(call_default_factory=True) if field else None
    if value == default or value is None or value is False:
        return []
    option = f"--{name.replace('_', '-')}"
    return [option] if value is True else [option, str(value)]


def _upgrade_version_1(values: Mapping[str, object]) -> dict[str, object]:
    """Convert the values of version 1, which had only single labels, to this version."""
    test = values["test"]
    upgraded = {
        "task": "single",
        "recommendation": None,
        "temperature": 1.0,
        **values,
        "schema": SCHEMA,
    }
    if isinstance(test, dict):
        per_class = values["per_class"]
        if not isinstance(per_class, list):
            raise TypeError("per_class must be a list")
        upgraded["temperature"] = test["temperature"]
        upgraded["test"] = test | {
            "per_class": [{"name": result["class"], **result} for result in per_class],
            "confusion": values["confusion"],
            "reliability": values["reliability"],
        }
    tuning = values.get("tuning")
    if isinstance(tuning, dict):
        upgraded["tuning"] = {"first_probe_accuracy": tuning["probe_accuracy"], **tuning}
    return upgraded


def _reason(error: Exception) -> str:
    """Return a short description of what is wrong."""
    if isinstance(error, ValidationError):
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        return f"{place}: {problem['msg']}" if place else problem["msg"]
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
