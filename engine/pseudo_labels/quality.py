"""How good a candidate is: scores of classes, masks and pixels. Higher is better, always."""

from __future__ import annotations

import torch
from torch import Tensor

EPS = 1e-6
"""Keeps the mean over an empty mask finite (PL-DC's code; the paper has none)."""


def class_quality(class_logits: Tensor) -> Tensor:
    """Softmax probability of the best foreground class, PL-DC Eq. 3.

    For hosts with a "no object" class. Hosts with a sigmoid head tell their own.

    Args:
        class_logits: (N, K + 1) with "no object" last. It counts in the denominator only.

    Returns:
        (N,) in (0, 1).
    """
    return class_logits.float().softmax(dim=1)[:, :-1].amax(dim=1)


def mask_area(mask_logits: Tensor) -> Tensor:
    """Foreground pixels. (N, H, W) -> (N,) int64."""
    return (mask_logits > 0).sum(dim=(1, 2))


def mask_quality(mask_logits: Tensor) -> Tensor:
    """Mean foreground probability inside the mask, PL-DC Eq. 4.

    (N, H, W) -> (N,): 0 for an empty mask, otherwise above 1/2.
    """
    inside = mask_logits > 0
    total = (mask_logits.float().sigmoid() * inside).sum(dim=(1, 2))
    return total / (inside.sum(dim=(1, 2)) + EPS)


def pixel_score(probs: Tensor, inside: Tensor | None = None, threshold: float = 0.5) -> Tensor:
    """Mean probability of the pixels above a threshold; 0 where there is none.

    Args:
        probs: (N, H, W) in [0, 1].
        inside: (N, H, W) bool: only these pixels count; None = all.
        threshold: in [0, 1), exclusive.

    Returns:
        (N,) 0 or above the threshold.
    """
    counted = probs > threshold
    if inside is not None:
        counted = counted & inside
    return (probs * counted).sum(dim=(1, 2)) / counted.sum(dim=(1, 2)).clamp(min=1)


def soft_area(mask_logits: Tensor) -> Tensor:
    """Sum of the foreground probabilities: the size gate of GuidedDistillation.

    It can be large where no single pixel is foreground. (N, H, W) -> (N,).
    """
    return mask_logits.float().sigmoid().sum(dim=(1, 2))


def coupled_score(class_quality: Tensor, mask_quality: Tensor) -> Tensor:
    """The product that one threshold would be put on. (N,), (N,) -> (N,)."""
    return class_quality * mask_quality


def pixel_uncertainty(mask_logits: Tensor) -> Tensor:
    """PL-DC Eq. 10: 1 where the teacher is undecided (p = 1/2), 0 where it is sure.

    Any shape; the result has the same.
    """
    return 1 - 2 * (mask_logits.float().sigmoid() - 0.5).abs()


def mean_uncertainty(mask_quality: Tensor) -> Tensor:
    """Mean pixel uncertainty inside a mask, from its quality; NaN for an empty mask.

    Inside, p > 1/2, so u = 2 (1 - p), and the mean of p is the mask quality. (N,) -> (N,).
    """
    return torch.where(mask_quality > 0, 2 * (1 - mask_quality), torch.nan)
