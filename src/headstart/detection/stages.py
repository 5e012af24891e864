"""The last stages of a backbone with the head of a detector, which are trained together."""

from typing import Self

from torch import Tensor, nn

from headstart.heads.boxes.network import BoxHead
from headstart.tuning.training.depthwise import fast_depthwise


class StagesWithHead(nn.Module):
    """The trainable stages of a backbone with the head on their maps.

    Norms of the backbone keep their statistics, which small batches would shift.

    Attributes:
        above: Computes the maps from rows.
        head: The head.
    """

    def __init__(self, above: nn.Module, head: BoxHead) -> None:
        super().__init__()
        self.above, self.head = above, head

    def train(self, mode: bool = True) -> Self:
        """Switch the head to training mode or back; the stages always compute as they predict."""
        super().train(mode)
        self.above.eval()
        return self

    def forward(self, rows: Tensor) -> Tensor:
        """Return a row for each point of the pyramid; see `BoxHead`."""
        with fast_depthwise(rows.device):
            maps: Tensor = self.above(rows)
        outputs: Tensor = self.head(maps.float())
        return outputs
