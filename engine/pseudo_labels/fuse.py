"""A second opinion on the class: how the teacher's probabilities and CLIP's become one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

Fusion = Callable[[Tensor, Tensor], Tensor]
"""(teacher, CLIP) -> both as one; (N, K), (N, K) -> (N, K), rows sum to 1."""


class CategoryCorrector(Protocol):
    """Says what it sees inside a mask, without knowing what the teacher thinks."""

    def probabilities(self, images: Tensor, masks: Sequence[Tensor]) -> Tensor:
        """Class probabilities of every masked object, images one after the other. No gradient.

        Args:
            images: (B, 3, H, W) in [0, 1].
            masks: B tensors (N_b, H, W) bool.

        Returns:
            (sum of N_b, K) float32; a row of NaN where the object is too small to be seen, a
            column of NaN for a class it has no word for. What is left of a row sums to 1.
        """
        ...


def clip_weight(step: int, burn_in_steps: int, max_steps: int) -> float:
    """PL-DC Eq. 9: CLIP's share, a cosine from 1/2 at the end of burn-in to 0 at the end.

    The paper counts from step 0, the authors' code from the end of burn-in, as here. Outside
    that span the nearest end holds.
    """
    progress = (step - burn_in_steps) / max(1, max_steps - burn_in_steps)
    return 0.25 * (math.cos(math.pi * min(1.0, max(0.0, progress))) + 1)


def teacher_probabilities(class_logits: Tensor) -> Tensor:
    """Softmax over the K foreground classes alone. (N, K) -> (N, K) float32."""
    return class_logits.float().softmax(dim=1)


def fuse_mixture(teacher: Tensor, clip: Tensor, weight: float) -> Tensor:
    """PL-DC Eq. 7: the weighted mean of both; rows sum to 1. (N, K), (N, K) -> (N, K)."""
    return weight * clip + (1 - weight) * teacher


def fuse_product(teacher: Tensor, clip: Tensor, power: float = 1.0) -> Tensor:
    """PLePI: the joint probability p_t * p_c, as if both judged independently; rows sum to 1.

    `power` 1/2 is the geometric mean: the same best class, less sure of it. In logarithms, because
    the product of two small probabilities may be too small for a float.
    (N, K), (N, K) -> (N, K).
    """
    least = torch.finfo(teacher.dtype).tiny
    joint = teacher.clamp(min=least).log() + clip.clamp(min=least).log()
    return (power * joint).softmax(dim=1)
