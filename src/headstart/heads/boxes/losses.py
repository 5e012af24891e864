"""The loss of a detector."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot
from torchvision.ops import complete_box_iou_loss

from headstart.heads.boxes.assignment import TrueBoxes, assign
from headstart.heads.boxes.points import Points

# How much an error of the box weighs against one of the class.
_BOX_WEIGHT = 2.5


def detection_loss(outputs: Tensor, points: Points, truth: TrueBoxes) -> Tensor:
    """Return the loss of a batch.

    The score of a point that predicts a box is trained to be its quality, all others to be 0, by
    binary cross-entropy; boxes by the complete IoU loss of Zheng et al. (2020). Both are sums,
    divided by the sum of the qualities.

    Args:
        outputs: The output of `BoxHead`, (batch, points, 4 + classes).
        points: The points of the pyramid.
        truth: The true boxes, in pixels of the input.
    """
    reach, scores = outputs[..., :4], outputs[..., 4:]
    corners = points.corners(reach)
    assigned = assign(points, corners.detach(), scores.detach().sigmoid(), truth)
    classes = truth.classes.gather(1, assigned.box)
    quality = assigned.quality * assigned.taken
    target = one_hot(classes, scores.shape[-1]) * quality[..., None]
    total = target.sum().clamp(min=1)
    class_loss = binary_cross_entropy_with_logits(scores, target, reduction="sum")
    wanted = truth.corners.gather(1, assigned.box[..., None].expand(-1, -1, 4))[assigned.taken]
    box_losses = complete_box_iou_loss(corners[assigned.taken], wanted, reduction="none")
    box_loss = (box_losses * quality[assigned.taken]).sum()
    result: Tensor = (class_loss + _BOX_WEIGHT * box_loss) / total
    return result


def stack_truth(corners: list[Tensor], classes: list[Tensor]) -> TrueBoxes:
    """Return the boxes of several images as one batch.

    Args:
        corners: Of each image, (boxes, 4).
        classes: Of each image, (boxes,).
    """
    most = max(1, *map(len, corners))
    batch = TrueBoxes(
        torch.zeros(len(corners), most, 4),
        torch.zeros(len(corners), most, dtype=torch.int64),
        torch.zeros(len(corners), most, dtype=torch.bool),
    )
    for number, (boxes, labels) in enumerate(zip(corners, classes, strict=True)):
        batch.corners[number, : len(boxes)] = boxes
        batch.classes[number, : len(boxes)] = labels
        batch.present[number, : len(boxes)] = True
    return batch
