"""Fitted heads: immutable values that turn features into scores and can be saved in a bundle."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import ClassVar, Protocol, Self

import numpy as np

from headstart.arrays import (
    Anything,
    Features,
    Floats,
    Landmarks,
    Numbers,
    Scores,
    Temperature,
    Tensors,
)
from headstart.errors import BundleError
from headstart.task import Activation

# Rows that are scored at a time, to bound memory.
_ROWS = 2048

# The smallest probability whose logarithm is told from that of 0.
_SMALLEST = 1e-30

HeadValues = dict[str, float | str | Anything]
"""Numbers, strings and arrays of a head, by name."""


class FittedHead(Protocol):
    """A head that turns features into scores.

    Attributes:
        kind: Its name in a bundle.
    """

    kind: ClassVar[str]

    def logits(self, features: Features) -> Scores:
        """Return scores of shape (images, classes) for features (images, width)."""
        ...


@dataclass(frozen=True)
class LinearModel:
    """A weighted sum of standardised features.

    Attributes:
        mean: Shape (width,).
        scale: Shape (width,).
        weight: Shape (width, classes).
        bias: Shape (classes,).
    """

    kind: ClassVar[str] = "linear"
    mean: Floats
    scale: Floats
    weight: Floats
    bias: Floats

    def logits(self, features: Features) -> Scores:
        """See `FittedHead.logits`."""
        return np.asarray(((features - self.mean) / self.scale) @ self.weight + self.bias)


@dataclass(frozen=True)
class KernelModel:
    """A weighted sum of similarities to training images, the landmarks.

    Attributes:
        mean: Shape (width,).
        scale: Shape (width,).
        landmarks: Features of the training images as stored, shape (landmarks, width).
        weight: Shape (landmarks, classes).
        bias: Shape (classes,).
        bandwidth: Divisor of squared distances.
    """

    kind: ClassVar[str] = "kernel"
    mean: Floats
    scale: Floats
    landmarks: Landmarks
    weight: Floats
    bias: Floats
    bandwidth: float

    def logits(self, features: Features) -> Scores:
        """See `FittedHead.logits`."""
        parts = [
            self._similarities(features[start : start + _ROWS]) @ self.weight
            for start in range(0, max(1, len(features)), _ROWS)
        ]
        return np.asarray(np.concatenate(parts) + self.bias)

    @cached_property
    def _standardised_landmarks(self) -> tuple[Floats, Floats]:
        """The standardised landmarks and their squared norms."""
        rows = self._standardised(self.landmarks)
        return rows, np.square(rows).sum(axis=1)

    def _similarities(self, features: Features) -> Floats:
        """Return the radial-basis kernel of features and landmarks, (images, landmarks)."""
        rows, (landmarks, norms) = self._standardised(features), self._standardised_landmarks
        products = self._products(rows, landmarks)
        squares = np.square(rows).sum(axis=1)[:, np.newaxis] + norms - 2 * products
        return np.asarray(np.exp(np.maximum(squares, 0) / -self.bandwidth))

    def _products(self, rows: Floats, landmarks: Floats) -> Floats:
        return np.asarray(rows @ landmarks.T)

    def _standardised(self, features: Landmarks) -> Floats:
        return np.asarray((features.astype(np.float32) - self.mean) / self.scale)


@dataclass(frozen=True)
class MLPModel:
    """The tutorial's head: Dense(hidden, relu), dropout in training, Dense(classes).

    Attributes:
        mean: Shape (width,).
        scale: Shape (width,).
        hidden_weight: Shape (width, hidden).
        hidden_bias: Shape (hidden,).
        weight: Shape (hidden, classes).
        bias: Shape (classes,).
    """

    kind: ClassVar[str] = "mlp"
    mean: Floats
    scale: Floats
    hidden_weight: Floats
    hidden_bias: Floats
    weight: Floats
    bias: Floats

    def logits(self, features: Features) -> Scores:
        """See `FittedHead.logits`."""
        rows = (features - self.mean) / self.scale
        hidden = np.maximum(rows @ self.hidden_weight + self.hidden_bias, 0)
        return np.asarray(hidden @ self.weight + self.bias)


@dataclass(frozen=True)
class NearestModel:
    """The nearest class mean by cosine similarity; classes can be added without a refit.

    Attributes:
        mean: Shape (width,).
        scale: Shape (width,).
        centres: Mean direction of each class, shape (classes, width), length 1.
    """

    kind: ClassVar[str] = "nearest"
    mean: Floats
    scale: Floats
    centres: Floats

    def logits(self, features: Features) -> Scores:
        """See `FittedHead.logits`."""
        return np.asarray(self._directions(features) @ self.centres.T)

    def with_class(self, features: Features) -> Self:
        """Return the head with one more class, from features of images of that class."""
        centre = unit_rows(self._directions(features).mean(axis=0, keepdims=True))
        return replace(self, centres=np.concatenate([self.centres, centre]))

    def _directions(self, features: Features) -> Floats:
        return unit_rows((features - self.mean) / self.scale)


SingleModel = LinearModel | KernelModel | MLPModel | NearestModel


@dataclass(frozen=True)
class BlendModel:
    """The mean of the scores of two calibrated heads, in bundles of earlier versions.

    Attributes:
        first: The first head. Each head uses as many of the leftmost columns as it was fitted on.
        second: The second head.
        first_temperature: Divisor of the first head's scores.
        second_temperature: Divisor of the second head's scores.
    """

    kind: ClassVar[str] = "blend"
    first: SingleModel
    second: SingleModel
    first_temperature: float
    second_temperature: float

    def logits(self, features: Features) -> Scores:
        """See `FittedHead.logits`."""
        first, second = (
            head.logits(features[:, : len(head.mean)]) for head in (self.first, self.second)
        )
        total = first / self.first_temperature + second / self.second_temperature
        return np.asarray(total / 2, dtype=np.float32)


@dataclass(frozen=True)
class StackModel:
    """A weighted mean of the calibrated probabilities of several heads, see `stacking`.

    Attributes:
        members: The heads. Each uses as many of the leftmost columns as it was fitted on.
        shares: Weight of each head, sum 1.
        temperatures: Divisor of each head's scores.
        activation: The function that turns scores into probabilities.
    """

    kind: ClassVar[str] = "stack"
    members: tuple[FittedHead, ...]
    shares: tuple[float, ...]
    temperatures: tuple[Temperature, ...]
    activation: Activation = "softmax"

    def __post_init__(self) -> None:
        if not len(self.members) == len(self.shares) == len(self.temperatures) > 0:
            raise BundleError("The model's head is incomplete: a part of the stack is missing.")

    def logits(self, features: Features) -> Scores:
        """See `FittedHead.logits`."""
        scores = [head.logits(features[:, : width_of(head)]) for head in self.members]
        return mean_scores(scores, self.shares, self.temperatures, self.activation)


def mean_scores(
    scores: Sequence[Scores],
    shares: Sequence[float] | Numbers,
    temperatures: Sequence[Temperature],
    activation: Activation = "softmax",
) -> Scores:
    """Return scores whose probabilities are the weighted mean of those of several heads.

    Args:
        scores: Scores of each head, (images, classes).
        shares: Weight of each head, sum 1.
        temperatures: Divisor of each head's scores.
        activation: The function that turns scores into probabilities.
    """
    parts = zip(scores, shares, temperatures, strict=True)
    calibrated = [(each.astype(np.float64) / divisor, share) for each, share, divisor in parts]
    if activation == "sigmoid":
        present = sum(share * _sigmoid(each) for each, share in calibrated)
        absent = sum(share * _sigmoid(-each) for each, share in calibrated)
        return np.asarray(_log(present) - _log(absent), dtype=np.float32)
    return np.asarray(_log(sum(share * _softmax(each) for each, share in calibrated)), np.float32)


def _sigmoid(scores: Numbers) -> Numbers:
    with np.errstate(over="ignore"):  # The exponential of a large score is infinite.
        return np.asarray(1 / (1 + np.exp(-scores)))


def _softmax(scores: Numbers) -> Numbers:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _log(probabilities: Numbers | float) -> Numbers:
    return np.asarray(np.log(np.maximum(probabilities, _SMALLEST)))


def unit_rows(rows: Floats) -> Floats:
    """Scale each row to length 1; a zero row stays zero."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-12), dtype=np.float32)


def width_of(head: FittedHead) -> int:
    """Return how many of the leftmost columns a head uses."""
    match head:
        case StackModel():
            return max(map(width_of, head.members))
        case BlendModel():
            return max(width_of(head.first), width_of(head.second))
        case LinearModel() | KernelModel() | MLPModel() | NearestModel():
            return len(head.mean)
    raise TypeError(f"A head of kind '{head.kind}' cannot be part of an average.")


_NUMBERED = ("member", "share", "temperature")

_MODELS = (LinearModel, KernelModel, MLPModel, NearestModel, BlendModel, StackModel)
_BY_KIND: dict[str, Callable[..., FittedHead]] = {model.kind: model for model in _MODELS}


def to_arrays(head: FittedHead) -> tuple[dict[str, float | str], dict[str, Anything]]:
    """Return a head's numbers and arrays by name; those of a nested head as "first.bias"."""
    values = _flattened(head)
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    numbers = {name: value for name, value in values.items() if not isinstance(value, np.ndarray)}
    return numbers, arrays


def _flattened(head: FittedHead) -> HeadValues:
    values: HeadValues = {}
    for name, value in _fields(head).items():
        if isinstance(value, _MODELS):
            nested = {"kind": value.kind, **_flattened(value)}
            values |= {f"{name}.{inner}": each for inner, each in nested.items()}
        elif isinstance(value, float | str | np.ndarray):
            values[name] = value
    return values


def _fields(head: FittedHead) -> dict[str, object]:
    """Return the fields of a head, without cached values; those of a stack are numbered."""
    if isinstance(head, StackModel):
        temperatures = (np.asarray(t) if isinstance(t, tuple) else t for t in head.temperatures)
        columns = zip(head.members, head.shares, temperatures, strict=True)
        values: dict[str, object] = {"activation": head.activation}
        for number, column in enumerate(columns):
            values |= {
                f"{name}{number}": each for name, each in zip(_NUMBERED, column, strict=True)
            }
        return values
    names = (field.name for field in fields(head))  # type: ignore[arg-type]
    return {name: getattr(head, name) for name in names}


def from_arrays(kind: str, numbers: Mapping[str, float | str], arrays: Tensors) -> FittedHead:
    """Create a head from the result of `to_arrays`.

    Raises:
        BundleError: The kind is unknown, or a value is missing.
    """
    return _build(kind, {**numbers, **arrays})


def _build(kind: object, flat: HeadValues) -> FittedHead:
    if not isinstance(kind, str) or kind not in _BY_KIND:
        raise BundleError(f"The model has a head of unknown kind '{kind}'. Upgrade headstart.")
    values: dict[str, object] = {name: value for name, value in flat.items() if "." not in name}
    for name in sorted({name.split(".")[0] for name in flat if "." in name}):
        nested = {
            key.removeprefix(f"{name}."): value
            for key, value in flat.items()
            if key.startswith(f"{name}.")
        }
        values[name] = _build(nested.pop("kind", None), nested)
    try:
        return _BY_KIND[kind](**(_denumbered(values) if kind == StackModel.kind else values))
    except TypeError as error:
        raise BundleError(f"The model's head is incomplete: {error}.") from None


def _denumbered(values: Mapping[str, object]) -> Mapping[str, object]:
    """Collect the numbered fields of a stack; its activation is missing in earlier versions."""
    columns = {"activation": values.get("activation", "softmax")}
    for name in _NUMBERED:
        numbers = sorted(int(key.removeprefix(name)) for key in values if key.startswith(name))
        columns[f"{name}s"] = tuple(_untyped(values[f"{name}{number}"]) for number in numbers)
    return columns


def _untyped(value: object) -> object:
    """Return the temperatures of all classes as a tuple again."""
    return tuple(value.tolist()) if isinstance(value, np.ndarray) else value
