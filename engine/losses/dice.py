"""The two dice losses of the papers. They differ; keep them apart (methods.md 0.3)."""

from __future__ import annotations

from torch import Tensor


def squared_dice(probs: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
    """1 - Dice with squared denominators: CondInst and its family ("Dice2").

    Args:
        probs: (N, ...) in [0, 1].
        targets: (N, ...) in [0, 1], same shape.
        weight: (N, ...) per-pixel weights >= 0 on every term of the three sums; None = 1.

    Returns:
        (N,) in [0, 1]; 0 where all weights are 0 and nothing can be said is not special: the
        ratio is 0 / eps, so the loss is 1 with no gradient.
    """
    probs, targets = probs.flatten(1).float(), targets.flatten(1).float()
    if weight is None:
        overlap = (probs * targets).sum(1)
        total = probs.square().sum(1) + targets.square().sum(1)
    else:
        weight = weight.flatten(1).float()
        overlap = (weight * probs * targets).sum(1)
        total = (weight * (probs.square() + targets.square())).sum(1)
    return 1 - 2 * overlap / (total + 1e-5)


def smooth_dice(probs: Tensor, targets: Tensor) -> Tensor:
    """1 - Dice with plain sums and +1 smoothing: Mask2Former ("Dice1"). (N, ...) -> (N,)."""
    probs, targets = probs.flatten(1).float(), targets.flatten(1).float()
    overlap = 2 * (probs * targets).sum(1) + 1
    return 1 - overlap / (probs.sum(1) + targets.sum(1) + 1)
