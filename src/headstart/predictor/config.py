"""The configuration of a bundle: everything about a model but its weights, and its versions."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from pydantic import JsonValue, TypeAdapter, ValidationError

from headstart.data.preprocessing import Preprocess
from headstart.errors import BundleError, RecordError
from headstart.options import FeaturesOption
from headstart.record import Record

SCHEMA = 2
"""Version 1 has no task, no specification of the head, and calls the record "metrics"."""


CUSTOM, TUTORIAL = "custom", "tutorial"
"""Kinds of heads that have no name of their own among the options."""


@dataclass(frozen=True)
class BackboneConfig:
    """A backbone.

    Attributes:
        name: As the user named it.
        architecture: timm's name.
        origin: Where its weights came from.
        weights_sha256: Of its tensors, by which stored features are found; None in version 1.
        blocks: Name and width of each block of its features; None in version 1.
        licence: Of the weights; None where they are random or the user's own, and in bundles
            that were written before licences were.
    """

    name: str
    architecture: str
    origin: str
    weights_sha256: str | None = None
    blocks: tuple[tuple[str, int], ...] | None = None
    licence: str | None = None


@dataclass(frozen=True)
class HeadConfig:
    """A fitted head: its kind, and those of its values that are not arrays."""

    kind: str
    numbers: dict[str, float | str]


@dataclass(frozen=True)
class Calibration:
    """How scores become probabilities: divided by a temperature first."""

    temperature: float


@dataclass(frozen=True)
class Specification:
    """How a head was asked for, so that training can go on from a saved model.

    Attributes:
        kind: Of the head, as `--head` names it, "tutorial", or "custom" for a user's own class.
        settings: What the head was given besides, such as the units of its hidden layer.
        features: The features option.
        balanced: Whether classes were weighted inversely to their frequency.
        seed: Of every random draw.
        deterministic: Whether nothing was chosen by timing.
    """

    kind: str = "auto"
    settings: dict[str, int | float] = field(default_factory=dict)
    features: FeaturesOption = "auto"
    balanced: bool = False
    seed: int = 0
    deterministic: bool = False


@dataclass(frozen=True)
class Config:
    """Everything about a model but its weights.

    Attributes:
        headstart: Version that wrote it.
        created: When, in ISO 8601 with the time zone; None if the model is deterministic.
        task: The kind of label.
        classes: In the order of the probabilities.
        preprocess: What happens to the pixels first.
        backbone: The network.
        features: The features that the head reads.
        stored_as: Precision that features are rounded to before the head reads them.
        precision: Numeric precision of the backbone: "bf16" or "float32".
        head: The fitted head.
        calibration: Of its scores.
        specification: How the head was asked for.
        record: What was measured, if anything was.
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
    specification: Specification = field(default_factory=Specification)
    record: Record | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values, with the number of this version."""
        values: dict[str, JsonValue] = _CONFIG.dump_python(self, mode="json")
        return {"schema": SCHEMA, **values}

    @staticmethod
    def of(values: Mapping[str, JsonValue], name: str) -> "Config":
        """Build a configuration from the JSON values of any version up to this one.

        Args:
            values: The content of a `config.json`.
            name: Of the model, for an error.

        Raises:
            BundleError: Something is missing.
        """
        own = _from_first(values) if values["schema"] == 1 else values
        record = _record(own.get("record"), name)
        try:
            return _CONFIG.validate_python({**own, "record": record})
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"]))
            wrong = "is missing" if problem["type"] == "missing" else f"is wrong: {problem['msg']}"
            raise BundleError(f"Model '{name}' is incomplete: '{place}' {wrong}.") from None


_CONFIG = TypeAdapter(Config)


def require_version(version: JsonValue, name: str) -> None:
    """Refuse a bundle of a later version.

    Raises:
        BundleError: The version is later than this one, or is not a number.
    """
    if not isinstance(version, int) or version > SCHEMA:
        raise BundleError(
            f"Model '{name}' has version {version}, this headstart reads up to {SCHEMA}. "
            "Upgrade headstart."
        )


def _from_first(values: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Add what version 1 does not say, which had one kind of label.

    What was asked for stands in the record of a run. A model that was saved by itself tells only
    the kind of its head, which is what was asked for where folds do not choose it.
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


def _record(values: JsonValue, name: str) -> Record | None:
    """Read the record of a bundle; one that was saved with a part of a record has none."""
    if isinstance(values, dict):
        with suppress(RecordError):
            return Record.of(values, name)
    return None
