"""The parts of a record: the measurements of each step of a run."""

from dataclasses import dataclass, replace
from typing import Literal

from headstart.record.estimates import Estimate, Interval


@dataclass(frozen=True)
class Counts:
    """The number of images in each part of the data."""

    train: int
    val: int
    test: int
    rejected: int


@dataclass(frozen=True)
class Data:
    """The images of a run.

    Attributes:
        name: A short name, derived from the path.
        source: The path that the user passed.
        classes: Class names, in the order of the probabilities.
        images: The number of images in each part.
        understood: Sentences that say how the data was read: labels, split, groups.
        trained_on: The number of training images of each class; empty in records of versions that
            did not count them.
    """

    name: str
    source: str
    classes: tuple[str, ...]
    images: Counts
    understood: tuple[str, ...] = ()
    trained_on: tuple[int, ...] = ()


@dataclass(frozen=True)
class Source:
    """The source of images: a short name, and the path that the user passed."""

    name: str
    source: str


@dataclass(frozen=True)
class Rejection:
    """An image that could not be used, with the reason."""

    image: str
    reason: str


@dataclass(frozen=True)
class Leak:
    """Copies of one image that are in different parts of a given split."""

    images: tuple[str, ...]


@dataclass(frozen=True)
class PrecisionTrial:
    """The measurement that decided between float32 and bf16.

    Attributes:
        float32: Images per second.
        bf16: Images per second.
        cosine: The lowest cosine similarity between the features in bf16 and in float32; None if
            a feature vector is zero.
    """

    float32: float
    bf16: float
    cosine: float | None


@dataclass(frozen=True)
class Candidate:
    """A head that was compared on held-out images.

    Attributes:
        features: "last", "multilevel", "scales" or "flatten".
        head: The kind of the head.
        accuracy: The share of images of the held-out folds classified correctly.
        accuracy_ci95: Wilson interval.
        log_loss: Mean over these images.
        chosen: Whether it was chosen.
        images: The number of these images; 0 in records of versions that did not count them.
        val: The estimate on the validation part; None without one.
        share: The weight of the head in the average of heads, 0 to 1; None for the average itself,
            and if none were averaged.
    """

    features: str
    head: str
    accuracy: float
    accuracy_ci95: Interval
    log_loss: float
    chosen: bool
    images: int = 0
    val: Estimate | None = None
    share: float | None = None


@dataclass(frozen=True)
class Epoch:
    """One epoch of fine-tuning.

    Attributes:
        step: The total number of steps at the end of the epoch.
        epoch: The number of the epoch, counted from 1.
        train_loss: Mean over the steps of the epoch.
        val_loss: Calibrated log loss on the held-out images; None without held-out images.
        val_accuracy: Accuracy on the held-out images; None without held-out images.
        learning_rate: The highest of all parameter groups, at the end of the epoch.
        seconds: The duration of the epoch.
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
    """The settings of training steps, chosen by timing.

    Attributes:
        name: The name of the settings that were used.
        images_per_second: The speed of all settings that were timed, by name.
    """

    name: str
    images_per_second: dict[str, float]


@dataclass(frozen=True)
class Tuning:
    """The result of fine-tuning: the frozen and the tuned model on the same held-out images.

    Attributes:
        part: The part that was trained: "all", "stages:N" or "layers:N".
        kept: Whether the tuned model is used.
        why_not: Why the tuned model was not kept, as a predicate without subject; "" if it was
            kept or no epoch was finished.
        rounds: The number of rounds, each with different held-out images.
        images: The number of held-out images in all rounds.
        probe_accuracy: Accuracy of the frozen backbone with its head; None without held-out
            images.
        tuned_accuracy: Accuracy of the tuned model; None without held-out images or if no epoch
            was finished.
        gain_ci95: 95% confidence interval of the difference in accuracy.
        probe_log_loss: Calibrated log loss of the frozen backbone with its head.
        tuned_log_loss: Calibrated log loss of the tuned model.
        loss_gain_errors: The reduction of the log loss, in standard errors of the paired
            difference. The tuned model is kept if this is above 0 and its accuracy is not lower;
            below 2, the difference may be due to chance.
        first_probe_accuracy: Accuracy of the frozen model in the first round, to which `epochs`
            belongs.
        seconds: The duration of fine-tuning.
        learning_rate: The peak learning rate.
        setting: The settings of training steps.
        computing: The share of the time in which training did not wait for data, 0 to 1.
        store_bytes: The size of the boundary store.
        head: The kind of head on the tuned features; "blend" for its average with the head that was
            trained jointly; "" without tuned features.
        final: Whether the kept model was finally trained on all images, including the held-out
            ones.
        stopped: Why fine-tuning ended early; None if it did not.
        epochs: The epochs of the first round.
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
        """Return a copy without durations and speeds."""
        epochs = tuple(replace(epoch, seconds=0.0) for epoch in self.epochs)
        return replace(self, seconds=0.0, setting=None, computing=1.0, epochs=epochs)


@dataclass(frozen=True)
class MetricTuning:
    """The result of metric tuning: frozen and tuned network on labels that were not learnt from.

    Attributes:
        part: The part that was trained: "all", "stages:N" or "layers:N".
        kept: Whether the tuned network is used.
        step: How far the weights go from the pretrained to the tuned ones, 0 to 1.
        labels: The number of labels that were held out.
        images: The number of their images that could be found: another one has their label.
        frozen_recall_at_1: The share of them whose nearest other image has their label, with the
            frozen network.
        tuned_recall_at_1: The same with the tuned network.
        gain_ci95: 95% confidence interval of the difference.
        frozen_map_at_r: mAP@R with the frozen network.
        tuned_map_at_r: mAP@R with the tuned network.
        best_epoch: The epoch that was best on the held-out labels; 0 if none was finished.
        learning_rate: The peak learning rate.
        seconds: The duration.
        stopped: Why it ended early; None if it did not.
        epochs: The epochs; their loss is 1 - mAP@R on held-out labels, their accuracy recall@1.
    """

    part: str
    kept: bool
    step: float
    labels: int
    images: int
    frozen_recall_at_1: float
    tuned_recall_at_1: float
    gain_ci95: Interval
    frozen_map_at_r: float
    tuned_map_at_r: float
    best_epoch: int
    learning_rate: float
    seconds: float
    stopped: str | None
    epochs: tuple[Epoch, ...]

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        low, high = self.gain_ci95
        kept = "Kept" if self.kept else "Not kept, so the backbone stays frozen"
        return (
            f"Metric tuning of {self.part} in {self.seconds / 60:.1f} minutes, on {self.labels:,} "
            f"labels that were not learnt from ({self.images:,} images): recall@1 "
            f"{self.tuned_recall_at_1:.1%} against {self.frozen_recall_at_1:.1%} with the frozen "
            f"backbone (95% interval of the difference {low:+.1%} to {high:+.1%}), mAP@R "
            f"{self.tuned_map_at_r:.3f} against {self.frozen_map_at_r:.3f}. {kept}."
        )

    def without_times(self) -> "MetricTuning":
        """Return a copy without durations."""
        epochs = tuple(replace(epoch, seconds=0.0) for epoch in self.epochs)
        return replace(self, seconds=0.0, epochs=epochs)


@dataclass(frozen=True)
class BackboneTrial:
    """The results of a backbone on held-out images.

    Attributes:
        name: The name that the user passed.
        weights: The source of the weights.
        image_size: The side of the square input, in pixels.
        parameters: The number of parameters.
        features: The features with the better probe: "last" or "multilevel".
        accuracy: Accuracy of the probe on folds or on the validation part.
        accuracy_ci95: Wilson interval.
        knn_accuracy: Accuracy of a 10-nearest-neighbour classifier on the same images.
        log_me: Logarithm of maximum evidence (You et al., 2021); higher is better.
        images_per_second: Speed of the network on this machine, timed in turns with the other
            candidates.
        seconds: The duration of the trial, without timing.
        taken: Whether this backbone is recommended.
        on_front: Whether it is Pareto-optimal: no other candidate is both faster and more
            accurate.
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
    """The recommended backbone, with the trials of all candidates.

    Attributes:
        recommended: The name of the backbone.
        weights: The source of its weights.
        why: The reason, as a clause without the name.
        images: The number of images that backbones were compared on.
        backbones: The trials, most accurate first.
        compared_on: What decided: "folds" of the training part, or "val", the validation part.
    """

    recommended: str
    weights: str
    why: str
    images: int
    backbones: tuple[BackboneTrial, ...]
    compared_on: Literal["folds", "val"] = "folds"

    @property
    def image_size(self) -> int:
        """The side of the square that the recommended backbone sees, in pixels."""
        return next(trial.image_size for trial in self.backbones if trial.taken)
