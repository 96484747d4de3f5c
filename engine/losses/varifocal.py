"""VarifocalLoss (arXiv:2008.13367): a class score that learns how good its box is."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def varifocal_loss(
    logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0
) -> Tensor:
    """Element-wise loss. A positive weighs its own target, a negative alpha * p ^ gamma.

    VarifocalNet's alpha is 0.75; BoxSeg's code keeps FCOS's 0.25.

    Args:
        logits: any shape.
        targets: same shape, the IoU of the predicted box at the class of a positive, else 0.
    """
    negative = alpha * logits.sigmoid().pow(gamma)
    weight = targets.where(targets > 0, negative)
    return weight * functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
