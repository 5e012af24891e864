"""The record of a run: one writer and one reader for `metrics.json`, of every version so far."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import JsonValue, TypeAdapter, ValidationError

from headstart.errors import RecordError
from headstart.files import write_atomically
from headstart.record.values import (
    Candidate,
    Data,
    Evaluation,
    Leak,
    PrecisionTrial,
    Recommendation,
    Rejection,
    Source,
    Tuning,
)

SCHEMA = 2
"""Of `metrics.json`. Files of version 1 have no number."""

FILE = "metrics.json"


@dataclass(frozen=True)
class Record:
    """Everything that a training run measured.

    Attributes:
        headstart: Version that wrote it.
        created: When, in ISO 8601 with the time zone; None without times.
        task: The kind of label.
        data: What it learnt from.
        backbone: Name of the backbone.
        weights: Where its weights came from.
        features: The features that the head reads.
        head: Kind of the head.
        temperature: Divisor of scores that calibrates probabilities.
        tuned: The part of the backbone that was fine-tuned, if that was kept.
        tuning: What fine-tuning did, if it was asked for.
        engine: "openvino" or "torch".
        precision: "bf16" or "float32".
        precision_trial: The measurement that decided it, where one did.
        image_size: Side of the square that the backbone sees, in pixels.
        seed: Of every random draw.
        options: What the user chose and what defaults were in force.
        choice: Heads that were compared, the chosen one first.
        test: Results on the test part; None without one.
        rejected: Images that could not be used.
        warnings: What the user should know about the data.
        leaks: Copies that a given split has put into several parts.
        seconds: By step: scan, extract, head, tune, total.
        recommendation: How the backbone was chosen, if that was asked for.
        schema: Version of this layout.
    """

    headstart: str
    created: str | None
    task: str
    data: Data
    backbone: str
    weights: str
    features: str
    head: str
    temperature: float
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
    schema: int = SCHEMA

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        values: dict[str, JsonValue] = _RECORD.dump_python(self, mode="json")
        return values

    def write(self, path: Path) -> None:
        """Write the record to a run or to a file, whole or not at all.

        Raises:
            OSError: It cannot be written.
        """
        file = path / FILE if path.is_dir() else path
        write_atomically(file, _RECORD.dump_json(self, indent=2) + b"\n")

    def without_times(self) -> "Record":
        """Return the record without what differs between two runs of a deterministic training.

        That is when and how fast they ran, and where they were written.
        """
        places = ("out", "cache", "overwrite", "resume")
        return replace(
            self,
            created=None,
            seconds={},
            options={name: one for name, one in self.options.items() if name not in places},
            tuning=self.tuning.without_times() if self.tuning else None,
        )

    @staticmethod
    def of(values: Mapping[str, JsonValue], name: str) -> "Record":
        """Build a record from the JSON values of any version up to this one.

        Args:
            values: The content of a `metrics.json`.
            name: Of the file, for an error.

        Raises:
            RecordError: They are incomplete, or of a later version.
        """
        version = values.get("schema", 1)
        if not isinstance(version, int) or version > SCHEMA:
            raise RecordError(
                f"'{name}' has version {version}; this headstart reads up to {SCHEMA}. "
                "Upgrade headstart."
            )
        try:
            return _RECORD.validate_python(_from_first(values) if version == 1 else values)
        except (ValidationError, KeyError, TypeError, AttributeError) as error:
            raise RecordError(f"'{name}' is incomplete or damaged: {_first(error)}.") from None

    @staticmethod
    def read(path: Path) -> "Record":
        """Read a record from a run or from its `metrics.json`, of any version up to this one.

        Raises:
            RecordError: There is none, or it is damaged or of a later version.
        """
        file = path / FILE if path.is_dir() else path
        try:
            values = _JSON.validate_json(file.read_bytes())
        except OSError as error:
            raise RecordError(f"'{file}' cannot be read: {error.strerror}.") from None
        except ValidationError as error:
            raise RecordError(f"'{file}' is incomplete or damaged: {_first(error)}.") from None
        return Record.of(values, str(file))


@dataclass(frozen=True)
class RecommendationRecord:
    """What a run of `recommend` measured.

    Attributes:
        headstart: Version that wrote it.
        data: The images that backbones were tried on.
        recommendation: The result.
        schema: Version of this layout.
    """

    headstart: str
    data: Source
    recommendation: Recommendation
    schema: int = SCHEMA

    def write(self, path: Path) -> None:
        """Write the record to a file, whole or not at all.

        Raises:
            OSError: It cannot be written.
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


def _from_first(values: Mapping[str, object]) -> dict[str, object]:
    """Bring the first layout, which had no number and one kind of label, to this one."""
    test = values["test"]
    out = {"task": "single", "recommendation": None, "temperature": 1.0, **values, "schema": SCHEMA}
    if isinstance(test, dict):
        per_class = values["per_class"]
        if not isinstance(per_class, list):
            raise TypeError("per_class must be a list")
        out["temperature"] = test["temperature"]
        out["test"] = test | {
            "per_class": [{"name": one["class"], **one} for one in per_class],
            "confusion": values["confusion"],
            "reliability": values["reliability"],
        }
    tuning = values.get("tuning")
    if isinstance(tuning, dict):
        out["tuning"] = {"first_probe_accuracy": tuning["probe_accuracy"], **tuning}
    return out


def _first(error: Exception) -> str:
    """Return what is wrong in a few words."""
    if isinstance(error, ValidationError):
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        return f"{place}: {problem['msg']}" if place else problem["msg"]
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
