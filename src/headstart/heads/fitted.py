"""Fitted heads: immutable values that turn features into scores and can be saved in a bundle."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import ClassVar, Protocol, Self

import numpy as np

from headstart.arrays import Anything, Features, Floats, Landmarks, Scores, Tensors
from headstart.errors import BundleError

# Rows that are scored at a time, to bound memory.
_ROWS = 2048

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
        squares = np.square(rows).sum(axis=1)[:, np.newaxis] + norms - 2 * (rows @ landmarks.T)
        return np.asarray(np.exp(np.maximum(squares, 0) / -self.bandwidth))

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
    """The mean of two calibrated heads; heads that were trained differently make different
    errors.

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


_SINGLE: dict[str, type[SingleModel]] = {
    model.kind: model for model in (LinearModel, KernelModel, MLPModel, NearestModel)
}


def unit_rows(rows: Floats) -> Floats:
    """Scale each row to length 1; a zero row stays zero."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-12), dtype=np.float32)


def to_arrays(head: FittedHead) -> tuple[dict[str, float | str], dict[str, Anything]]:
    """Return a head's numbers and arrays by name; those of a nested head as "first.bias"."""
    values: HeadValues = {}
    for name, value in _fields(head).items():
        values |= _flattened(name, value) if isinstance(value, SingleModel) else {name: value}
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    numbers = {name: value for name, value in values.items() if not isinstance(value, np.ndarray)}
    return numbers, arrays


def _fields(head: FittedHead) -> HeadValues:
    """Return the fields of a head, without cached values."""
    names = (field.name for field in fields(head))  # type: ignore[arg-type]
    return {name: getattr(head, name) for name in names}


def _flattened(name: str, head: SingleModel) -> HeadValues:
    nested: HeadValues = {"kind": head.kind, **_fields(head)}
    return {f"{name}.{inner}": value for inner, value in nested.items()}


def from_arrays(kind: str, numbers: Mapping[str, float | str], arrays: Tensors) -> FittedHead:
    """Create a head from the result of `to_arrays`.

    Raises:
        BundleError: The kind is unknown, or a value is missing.
    """
    values: HeadValues = {**numbers, **arrays}
    if kind != BlendModel.kind:
        return _build(_model_class(kind), values)
    heads = {}
    for name in ("first", "second"):
        nested = {key: value for key, value in values.items() if key.startswith(f"{name}.")}
        values = {key: value for key, value in values.items() if key not in nested}
        nested = {key.removeprefix(f"{name}."): value for key, value in nested.items()}
        heads[name] = _build(_model_class(nested.pop("kind", None)), nested)
    return _build(BlendModel, {**values, **heads})


def _model_class(kind: object) -> type[SingleModel]:
    if not isinstance(kind, str) or kind not in _SINGLE:
        raise BundleError(f"The model has a head of unknown kind '{kind}'. Upgrade headstart.")
    return _SINGLE[kind]


def _build(kind: Callable[..., FittedHead], values: Mapping[str, object]) -> FittedHead:
    try:
        return kind(**values)
    except TypeError as error:
        raise BundleError(f"The model's head is incomplete: {error}.") from None
