"""The parts of a record: what each step of a run measured."""

from dataclasses import dataclass, replace
from typing import Literal

from pydantic import JsonValue

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
        cosine: The lowest similarity of the features in bf16 to those in float32; None where a
            feature has no direction.
    """

    float32: float
    bf16: float
    cosine: float | None


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
        step: Steps at its end.
        epoch: Counted from 1.
        train_loss: Mean over its steps.
        val_loss: Of the images held out, calibrated; None without any.
        val_accuracy: Likewise.
        learning_rate: The highest, at its end.
        seconds: That it took.
    """

    step: int
    epoch: int
    train_loss: float | None
    val_loss: float | None
    val_accuracy: float | None
    learning_rate: float
    seconds: float


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

    def without_times(self) -> "Tuning":
        """Return the same without how fast it was."""
        epochs = tuple(replace(one, seconds=0.0) for one in self.epochs)
        return replace(self, seconds=0.0, setting=None, computing=1.0, epochs=epochs)


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
