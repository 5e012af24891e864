"""What a run measured, as typed values: one writer and one reader for `metrics.json`.

Terminal tables, the report, the model card and comparisons read these classes, never the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import JsonValue, TypeAdapter, ValidationError

from headstart.errors import RecordError
from headstart.files import write_whole

SCHEMA = 2
"""Of `metrics.json`. Files of version 1 have no number."""

FILE = "metrics.json"

Interval = tuple[float, float]
"""The bounds of a 95 % confidence interval."""


@dataclass(frozen=True)
class Counts:
    """How many images each part of the data has."""

    train: int
    val: int
    test: int
    rejected: int


@dataclass(frozen=True)
class Data:
    """The images that a run learnt from.

    Attributes:
        name: A short name, from the path.
        source: The path, as the user gave it.
        classes: In the order of the probabilities.
        images: How many there are.
    """

    name: str
    source: str
    classes: tuple[str, ...]
    images: Counts


@dataclass(frozen=True)
class Source:
    """Where images come from: a short name, and the path as the user gave it."""

    name: str
    source: str


@dataclass(frozen=True)
class Rejection:
    """An image that could not be used, and why."""

    image: str
    reason: str


@dataclass(frozen=True)
class Leak:
    """Copies of one image in several parts of a given split."""

    images: tuple[str, ...]


@dataclass(frozen=True)
class PrecisionTrial:
    """The measurement that decided between float32 and bf16.

    Attributes:
        float32: Images per second.
        bf16: Images per second.
        cosine: The lowest similarity of the features in bf16 to those in float32.
    """

    float32: float
    bf16: float
    cosine: float


@dataclass(frozen=True)
class Candidate:
    """A head that was compared with others on held-out training images.

    Attributes:
        features: "last", "multilevel" or "flatten".
        head: Its kind.
        accuracy: Share of held-out images classified correctly.
        accuracy_ci95: Wilson interval.
        log_loss: Mean over held-out images.
        chosen: Whether it was taken.
    """

    features: str
    head: str
    accuracy: float
    accuracy_ci95: Interval
    log_loss: float
    chosen: bool


@dataclass(frozen=True)
class ClassResult:
    """Results on the images of one class; None where there was no image to measure on.

    Attributes:
        name: Of the class.
        precision: Share of the images predicted to be of it that are; 0 where none was.
        recall: Share of its images that were predicted correctly.
        recall_ci95: Wilson interval of the recall.
        f1: Harmonic mean of both.
        images: How many of its images were tested.
    """

    name: str
    precision: float | None
    recall: float | None
    recall_ci95: Interval | None
    f1: float | None
    images: int


@dataclass(frozen=True)
class ReliabilityBin:
    """Images predicted with about the same confidence.

    Attributes:
        confidence: Mean probability of the predicted class.
        accuracy: Share that was correct.
        images: How many.
    """

    confidence: float
    accuracy: float
    images: int


@dataclass(frozen=True)
class SingleEvaluation:
    """What was measured on a set of images with one label each.

    Attributes:
        images: How many.
        accuracy: Share that was predicted correctly.
        accuracy_ci95: Wilson interval.
        macro_f1: Mean F1 over the classes that were tested.
        auroc: Area under the ROC curve, one class against the rest, mean over classes; None
            where fewer than two classes were tested.
        ece: Expected calibration error (Naeini et al., 2015), 15 bins of equal width.
        log_loss: Mean of -log(probability of the true class).
        majority: Accuracy of the majority baseline, which always predicts the most frequent class.
        per_class: One for each class, in their order.
        confusion: Counts, rows truth, columns prediction.
        reliability: Bins of confidence that hold images.
        task: The kind of label.
    """

    images: int
    accuracy: float
    accuracy_ci95: Interval
    macro_f1: float
    auroc: float | None
    ece: float
    log_loss: float
    majority: float
    per_class: tuple[ClassResult, ...]
    confusion: tuple[tuple[int, ...], ...]
    reliability: tuple[ReliabilityBin, ...]
    task: Literal["single"] = "single"

    def headline(self) -> dict[str, JsonValue]:
        """Return the single numbers, as JSON."""
        low, high = self.accuracy_ci95
        return {
            "images": self.images,
            "accuracy": self.accuracy,
            "accuracy_ci95": [low, high],
            "macro_f1": self.macro_f1,
            "auroc": self.auroc,
            "ece": self.ece,
            "log_loss": self.log_loss,
            "majority": self.majority,
        }


Evaluation = SingleEvaluation
"""What was measured, by the kind of label."""


@dataclass(frozen=True)
class Epoch:
    """One epoch of fine-tuning.

    Attributes:
        epoch: Counted from 1.
        train_loss: Mean over its steps.
        val_loss: Of the images held out, calibrated; None without any.
        val_accuracy: Likewise.
        learning_rate: The highest, at its end.
        seconds: That it took.
        step: Steps at its end.
    """

    epoch: int
    train_loss: float | None
    val_loss: float | None
    val_accuracy: float | None
    learning_rate: float
    seconds: float
    step: int = 0


@dataclass(frozen=True)
class StepTiming:
    """How training steps were taken, and what else was timed.

    Attributes:
        name: Of the way that was taken.
        images_per_second: By the name of each way that was timed.
    """

    name: str
    images_per_second: dict[str, float]


@dataclass(frozen=True)
class Tuning:
    """What fine-tuning did: the frozen and the tuned model on the same held-out images.

    Attributes:
        part: What was trained: "all", "stages:N" or "layers:N".
        kept: Whether the tuned model is the one that is used.
        why_not: What the tuned model did instead of being better, as a verb and what follows; ""
            where it is kept, or nothing was trained.
        rounds: How many times a part of the training images was held out.
        images: How many were held out in all.
        probe_accuracy: Of the frozen backbone with its head; None where nothing was held out.
        tuned_accuracy: Of the tuned model; None also where no epoch was finished.
        gain_ci95: Interval of the difference.
        probe_log_loss: Calibrated.
        tuned_log_loss: Likewise.
        loss_gain_errors: How much lower that is, in standard errors of the paired difference.
            The tuned model is kept if this is above 0 and its accuracy is no lower; below 2, the
            difference may be chance.
        first_probe_accuracy: Of the frozen model in the first round, whose epochs are listed.
        seconds: Of fine-tuning.
        learning_rate: The highest.
        setting: How steps were taken.
        computing: Share of the time in which training did not wait for rows, 0 to 1.
        store_bytes: Size of the boundary store.
        head: The kind of head that reads the tuned features; "" where there are none.
        final: Whether the kept model learnt from the held-out images too, after the decision.
        stopped: Why it ended early, if it did.
        epochs: Those of the first round.
    """

    part: str
    kept: bool
    images: int
    probe_accuracy: float | None
    tuned_accuracy: float | None
    gain_ci95: Interval | None
    probe_log_loss: float | None
    tuned_log_loss: float | None
    seconds: float
    stopped: str | None
    epochs: tuple[Epoch, ...]
    why_not: str = ""
    rounds: int = 1
    loss_gain_errors: float | None = None
    first_probe_accuracy: float | None = None
    learning_rate: float | None = None
    setting: StepTiming | None = None
    computing: float = 1.0
    store_bytes: int = 0
    head: str = ""
    final: bool = False


@dataclass(frozen=True)
class BackboneTrial:
    """How a backbone did on a sample of the training images.

    Attributes:
        name: As the user named it.
        weights: Where they came from.
        image_size: Side of the square that it saw, in pixels.
        parameters: How many it has.
        features: The features that the probe did best with: "last" or "multilevel".
        accuracy: Of the probe on held-out folds.
        accuracy_ci95: Wilson interval.
        knn_accuracy: Of the ten nearest training images, on the same folds.
        log_me: Logarithm of maximum evidence (You et al., 2021); higher is better.
        images_per_second: Of the network on this machine, timed in turns with the others.
        seconds: What trying it took, timing apart.
        taken: Whether it is the recommended one.
        on_front: Whether no other is both faster and more accurate.
    """

    name: str
    weights: str
    image_size: int
    parameters: int
    features: str
    accuracy: float
    accuracy_ci95: Interval
    knn_accuracy: float
    log_me: float
    images_per_second: float
    seconds: float
    taken: bool = False
    on_front: bool = False


@dataclass(frozen=True)
class Recommendation:
    """The recommended backbone, and what it was chosen from.

    Attributes:
        recommended: Name of the backbone.
        weights: Of the backbone.
        why: The reason, as a clause without the name.
        images: How many images were tried.
        backbones: Best accuracy first.
    """

    recommended: str
    weights: str
    why: str
    images: int
    backbones: tuple[BackboneTrial, ...]


@dataclass(frozen=True)
class Record:
    """Everything that a training run measured.

    Attributes:
        headstart: Version that wrote it.
        created: When, in ISO 8601 with the time zone.
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
    created: str
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
        """Write the record to a file, whole or not at all.

        Raises:
            OSError: It cannot be written.
        """
        write_whole(path, _RECORD.dump_json(self, indent=2) + b"\n")

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
        write_whole(path, TypeAdapter(RecommendationRecord).dump_json(self, indent=2) + b"\n")


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
        assert isinstance(per_class, list)
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
    return f"{error} is missing"
