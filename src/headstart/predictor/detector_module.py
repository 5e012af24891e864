"""A detector as one PyTorch module."""

from torch import Tensor, nn

from headstart.backbones.maps import StageMaps
from headstart.heads.boxes.network import BoxHead


class DetectorModule(nn.Module):
    """A detector as one network.

    Input: uint8 images, (batch, size, size, 3). Output: see `BoxHead`.
    """

    def __init__(self, maps: StageMaps, head: BoxHead) -> None:
        super().__init__()
        self.maps, self.head = maps, head

    def forward(self, images: Tensor) -> Tensor:
        """Return a row for each point of the pyramid."""
        rows: Tensor = self.head(self.maps(images))
        return rows
