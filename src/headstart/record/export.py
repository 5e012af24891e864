"""What an export wrote, and how its answers compare with the model's."""

from dataclasses import asdict, dataclass

from pydantic import JsonValue

from headstart.record.estimates import Interval


@dataclass(frozen=True)
class ParityResult:
    """The comparison of an exported file with the model that it was made from.

    All labels are the same as those of the model in float32.

    Attributes:
        images: Files whose answers were compared.
        converted: Those of them that were compared as PNG, because the exported script does not
            read their format.
        hard_cases: Files made to be decoded wrongly, whose answers were compared as well.
        refused: Names of hard cases that the script refuses.
        difference: The largest difference of a probability to the model in float32; of a feature,
            as a share of the largest.
        batch_difference: The largest difference between a batch of one and a batch of several.
        precision: The precision in which the model was measured.
        measured_changed: Files with another label than that of the model in that precision.
    """

    images: int
    converted: int
    hard_cases: int
    refused: tuple[str, ...]
    difference: float
    batch_difference: float
    precision: str
    measured_changed: int


@dataclass(frozen=True)
class HalfResult:
    """The comparison of weights in half precision with float32.

    Attributes:
        images: The number of images.
        changed: Images whose label changes, or whether they are unknown.
        difference: The largest difference of a probability; of a feature, as a share of the
            largest.
    """

    images: int
    changed: int
    difference: float


@dataclass(frozen=True)
class QuantisationResult:
    """The comparison of 8-bit integers with float32 on labelled test images.

    Attributes:
        way: How the network was quantised.
        images: The number of test images.
        metric: The name of the main metric.
        float32: The metric in float32, 0 to 1.
        int8: The metric in 8-bit integers.
        ci95: Interval of the difference, int8 minus float32; None if it cannot be estimated.
        changed: Images whose label changes, or whether they are unknown.
        by_class: Recall of each class in float32 and in 8-bit integers; None if it has no images.
        ece: Calibration error in float32 and in 8-bit integers.
        max_drop: The loss that is accepted, in points.
        accepted: Whether the loss is small enough. If not, the weights stay in float32.
    """

    way: str
    images: int
    metric: str
    float32: float
    int8: float
    ci95: Interval | None
    changed: int
    by_class: tuple[tuple[str, float | None, float | None], ...]
    ece: tuple[float | None, float | None]
    max_drop: float
    accepted: bool


@dataclass(frozen=True)
class ExportRecord:
    """What an export wrote.

    Attributes:
        folder: The folder.
        format: "onnx", "openvino" or "torch".
        weights: How the weights are stored: "float32", "float16" or "int8".
        files: Name and bytes of each file.
        parity: How the answers compare with the model's.
        only_features: Whether the file has no head.
        half: How weights in half precision compare with float32; None if they are not.
        quantisation: How 8-bit integers compare with float32; None without them.
        seconds: How long it took.
    """

    folder: str
    format: str
    weights: str
    files: tuple[tuple[str, int], ...]
    parity: ParityResult
    only_features: bool = False
    half: HalfResult | None = None
    quantisation: QuantisationResult | None = None
    seconds: float = 0.0

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        values: dict[str, JsonValue] = asdict(self)
        return values | {"files": dict(self.files)}
