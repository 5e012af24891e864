"""What is exported: one network from decoded, resized images to calibrated answers."""

import copy

import torch
from torch import Tensor, nn

from headstart.answers import Thresholds
from headstart.evaluation.known_images import NEIGHBOURS, KnownImages
from headstart.exporting.detector_graph import DetectingNetwork
from headstart.predictor.module import PredictorModule
from headstart.predictor.predictor import Predictor
from headstart.task import Task


class AnsweringNetwork(nn.Module):
    """The complete model.

    Input: uint8 images of shape (batch, size, size, 3), as returned by `Preprocess.pixels`.
    Output: probabilities, (batch, classes), float32; which labels are predicted, (batch, classes);
    and, if the model knows, which images are unlike all training images, (batch,). Flags are bool.
    """

    def __init__(self, model: PredictorModule, predictor: Predictor) -> None:
        super().__init__()
        self.model = model
        self._task: Task = predictor.task
        self._thresholds: Thresholds | None = predictor.thresholds
        known = predictor.limits.known
        self.unknown = _Unknown(known) if known else None

    @property
    def backbone(self) -> nn.Module:
        """The backbone."""
        return self.model.pooling

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs."""
        return ("probabilities", "predicted", *(("unknown",) if self.unknown else ()))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs."""
        features = self.model.features(images)
        probabilities = self.model.probabilities(features)
        answers = probabilities, self._task.decide(probabilities, self._thresholds)
        return (*answers, self.unknown(features)) if self.unknown else answers


class FeaturesNetwork(nn.Module):
    """The backbone with pooling, without a head.

    Output: features of all stages, (batch, width), float32.
    """

    outputs = ("features",)

    def __init__(self, pooling: nn.Module) -> None:
        super().__init__()
        self.pooling = copy.deepcopy(pooling).requires_grad_(False).eval()

    @property
    def backbone(self) -> nn.Module:
        """The backbone."""
        return self.pooling

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the features."""
        return (self.pooling(images),)


ExportedNetwork = AnsweringNetwork | FeaturesNetwork | DetectingNetwork


class _Unknown(nn.Module):
    """See `KnownImages.unknown`."""

    mean: Tensor
    projection: Tensor
    points: Tensor

    def __init__(self, known: KnownImages) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(known.mean))
        self.register_buffer("projection", torch.tensor(known.projection))
        self.register_buffer("points", torch.tensor(known.points))
        self._limit, self._count = known.limit, min(NEIGHBOURS, len(known.points))

    def forward(self, features: Tensor) -> Tensor:
        """Return flags, (batch,)."""
        new = (features[:, : len(self.mean)] - self.mean) @ self.projection
        norms = new.square().sum(dim=1, keepdim=True) + self.points.square().sum(dim=1)
        squares = norms - 2 * new @ self.points.T
        nearest = squares.topk(self._count, dim=1, largest=False, sorted=False).values
        return nearest.clamp(min=0).sqrt().mean(dim=1) > self._limit
