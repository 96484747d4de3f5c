"""Which prototype each pixel belongs to, when every prototype must take its share: SIM Eq. 2-3."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sinkhorn(scores: Tensor, smoothness: float = 0.05, steps: int = 3) -> Tensor:
    """The shares of pixels in prototypes that score high and fill all prototypes alike.

    Optimal transport with an entropy term, by Sinkhorn and Knopp: in turn each prototype is scaled
    to its part of the pixels and each pixel to 1. In log space, so that nothing overflows.

    Args:
        scores: (N, L) cosines of N pixels and L prototypes.
        smoothness: weight of the entropy; the smaller, the closer to one prototype per pixel.
        steps: at least 1. With few of them prototypes are filled alike only nearly.

    Returns:
        (N, L) float32, rows that sum to 1.
    """
    logs, (pixels, prototypes) = scores.float() / smoothness, scores.shape
    for _ in range(steps):
        logs = logs - logs.logsumexp(dim=0, keepdim=True) + math.log(max(1, pixels) / prototypes)
        logs = logs - logs.logsumexp(dim=1, keepdim=True)
    return logs.exp()


def assigned(shares: Tensor, *, drawn: bool = False) -> Tensor:
    """One prototype per pixel: the largest share (the first of equals), or drawn by the shares.

    Authors: a one-hot Gumbel-softmax. Here: the same draw, from torch's generator. (N, L) -> (N,)
    """
    if drawn and len(shares):
        return torch.multinomial(shares, 1)[:, 0]
    return shares.argmax(dim=1)
