"""What is exported of a detector: one network from decoded, resized images to boxes."""

import copy

from torch import Tensor, nn

from headstart.heads.boxes.points import Points
from headstart.predictor.detector import Detector
from headstart.predictor.detector_module import DetectorModule


class DetectingNetwork(nn.Module):
    """The complete detector, without non-maximum suppression.

    Input: uint8 images of shape (batch, size, size, 3), as returned by `Preprocess.pixels`.
    Output: the left, top, right and bottom edge of the box at each point of the pyramid, in pixels
    of the input, (batch, points, 4); and the probability of each class there, (batch, points,
    classes). Both are float32.
    """

    centres: Tensor
    steps: Tensor
    outputs = ("boxes", "probabilities")

    def __init__(self, model: DetectorModule, points: Points) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.register_buffer("centres", points.centres)
        self.register_buffer("steps", points.steps)

    @classmethod
    def of(cls, detector: Detector) -> "DetectingNetwork":
        """Return the network of a detector."""
        return cls(detector.module(), detector.points)

    @property
    def backbone(self) -> nn.Module:
        """The backbone."""
        return self.model.maps

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs."""
        rows = self.model(images)
        boxes = Points(self.centres, self.steps).corners(rows[..., :4])
        return boxes, rows[..., 4:].sigmoid()
