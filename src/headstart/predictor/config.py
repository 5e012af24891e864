"""The configuration of a bundle: everything about a model except its weights."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Self

from pydantic import JsonValue, TypeAdapter, ValidationError

from headstart.answers import Thresholds
from headstart.arrays import Temperature, Tensors
from headstart.backbones.saved import SavedBackbone
from headstart.data.contract import FIRST
from headstart.data.preprocessing import Preprocess
from headstart.errors import BundleError, RecordError
from headstart.options import FeaturesOption
from headstart.record import Record

if TYPE_CHECKING:
    from headstart.features.extractor import FeatureExtractor

SCHEMA = 4
"""Version 1 has no task and no head specification, and calls the record "metrics". Version 2 has no
pixel contract. Version 3 does not know the limits of the model."""


CUSTOM, TUTORIAL = "custom", "tutorial"
"""Kinds of heads that cannot be selected by name in the options."""


@dataclass(frozen=True)
class BackboneConfig:
    """The backbone of a model.

    Attributes:
        name: The name that the user passed.
        architecture: The name of the architecture in timm.
        origin: The source of the weights.
        weights_sha256: Hash of the tensors, part of the key of stored features; None in version 1.
        blocks: Name and width of each block of features; None in version 1.
        licence: The licence of the weights; None if they are random or the user's own, and in
            bundles written before licences were recorded.
    """

    name: str
    architecture: str
    origin: str
    weights_sha256: str | None = None
    blocks: tuple[tuple[str, int], ...] | None = None
    licence: str | None = None

    @classmethod
    def of(cls, extractor: FeatureExtractor) -> Self:
        """Return the backbone of an extractor."""
        source = extractor.source
        return cls(
            source.name,
            source.architecture,
            source.origin,
            extractor.fingerprint.weights,
            extractor.layout.blocks,
            source.licence,
        )

    def saved(self, preprocess: Preprocess, tensors: Tensors) -> SavedBackbone:
        """Return the backbone, whose network is built only if it is needed.

        Args:
            preprocess: The preprocessing of images.
            tensors: Weights of the network, by name.
        """
        return SavedBackbone(
            self.name,
            self.architecture,
            self.origin,
            self.licence,
            preprocess,
            tensors,
            self.weights_sha256,
            self.blocks,
        )


@dataclass(frozen=True)
class HeadConfig:
    """A fitted head: its kind, and its values other than arrays."""

    kind: str
    numbers: dict[str, float | str]


@dataclass(frozen=True)
class Calibration:
    """The calibration of scores: they are divided by the temperature."""

    temperature: Temperature


@dataclass(frozen=True)
class Specification:
    """The specification of a head before fitting, so that training can continue from a saved model.

    Attributes:
        kind: The value of `--head`, "tutorial", or "custom" for a user-defined class.
        settings: Hyperparameters of the head, such as the number of hidden units.
        features: The value of `--features`.
        balanced: Whether classes were weighted inversely to their frequency.
        seed: The random seed.
        deterministic: Whether choices by timing were ruled out.
        operating_point: What thresholds are chosen for; None for the default of the task.
    """

    kind: str = "auto"
    settings: dict[str, int | float] = field(default_factory=dict)
    features: FeaturesOption = "auto"
    balanced: bool = False
    seed: int = 0
    deterministic: bool = False
    operating_point: str | None = None


@dataclass(frozen=True)
class Config:
    """Everything about a model except its weights.

    Attributes:
        headstart: The version of headstart that wrote it.
        created: Date and time in ISO 8601 with the time zone; None if the model is deterministic.
        task: The name of the task.
        classes: Class names, in the order of the probabilities.
        preprocess: The preprocessing of the pixels.
        backbone: The backbone.
        features: The features that the head reads.
        stored_as: The precision that features are rounded to before the head reads them.
        precision: Numeric precision of the backbone: "bf16" or "float32".
        head: The fitted head.
        calibration: The calibration of the head's scores.
        operating_point: The thresholds of the probabilities; None if the most probable class is
            predicted, and in bundles of earlier versions.
        specification: The specification of the head before fitting.
        record: The record of the training; None without one.
    """

    headstart: str
    created: str | None
    task: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    backbone: BackboneConfig
    features: str
    stored_as: str
    precision: str
    head: HeadConfig
    calibration: Calibration
    operating_point: Thresholds | None = None
    specification: Specification = field(default_factory=Specification)
    record: Record | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values, including the schema version."""
        values: dict[str, JsonValue] = _CONFIG.dump_python(self, mode="json")
        return {"schema": SCHEMA, **values}

    @staticmethod
    def of(values: Mapping[str, JsonValue], name: str) -> Config:
        """Build a configuration from the JSON values of any version up to this one.

        Args:
            values: The content of a `config.json`.
            name: The name of the model, for error messages.

        Raises:
            BundleError: A value is missing or invalid.
        """
        current = _upgrade_version_1(values) if values["schema"] == 1 else values
        current = _upgrade_version_2(current) if values["schema"] in (1, 2) else current
        record = _read_record(current.get("record"), name)
        try:
            return _CONFIG.validate_python({**current, "record": record})
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"]))
            missing = problem["type"] == "missing"
            reason = "is missing" if missing else f"is invalid: {problem['msg']}"
            raise BundleError(f"Model '{name}' cannot be read: '{place}' {reason}.") from None


_CONFIG = TypeAdapter(Config)


def check_version(version: JsonValue, name: str) -> None:
    """Check that this version of headstart can read a bundle.

    Raises:
        BundleError: The version is later than this one, or is not a number.
    """
    if not isinstance(version, int) or version > SCHEMA:
        raise BundleError(
            f"Model '{name}' has version {version}, but this version of headstart reads only "
            f"up to {SCHEMA}. Upgrade headstart."
        )


def _upgrade_version_1(values: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Add the values that version 1, which had only single labels, does not contain.

    The specification of the head is taken from the options in the run's record. A model that was
    saved outside a run has only the kind of the fitted head, which equals the requested kind
    unless cross-validation chose it.
    """
    metrics, head = values.get("metrics"), values.get("head")
    options = metrics.get("options") if isinstance(metrics, dict) else None
    kind = head.get("kind") if isinstance(head, dict) else None
    specification: dict[str, JsonValue] = {}
    if isinstance(options, dict):
        names = ("features", "balanced", "seed")
        specification = {name: options[name] for name in names if name in options}
        tutorial = options.get("recipe") == TUTORIAL
        specification["kind"] = TUTORIAL if tutorial else options.get("head", "auto")
    elif kind in ("mlp", "nearest"):
        specification["kind"] = kind
    if values.get("features") == "flatten":
        specification["features"] = "flatten"
    added: dict[str, JsonValue] = {"task": "single", "specification": specification}
    return {**values, **added, "record": metrics}


def _upgrade_version_2(values: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """Add the first pixel contract, which is the only one of version 2."""
    preprocess = values.get("preprocess")
    if not isinstance(preprocess, dict):
        return values
    return {**values, "preprocess": {**preprocess, "contract": asdict(FIRST)}}


def _read_record(values: JsonValue, name: str) -> Record | None:
    """Read the record of a bundle; an incomplete record is ignored."""
    if isinstance(values, dict):
        with suppress(RecordError):
            return Record.of(values, name)
    return None
