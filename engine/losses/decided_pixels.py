"""Masks of which some pixels are unknown: cross-entropy and dice on the others (SIM Eq. 8)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from engine.losses.dice import squared_dice


def decided_mask_loss(logits: Tensor, foreground: Tensor, decided: Tensor) -> Tensor:
    """Mean cross-entropy of the decided pixels plus dice over them.

    Args:
        logits: (S, h, w)
        foreground: (S, h, w) bool or {0, 1}.
        decided: (S, h, w) bool or {0, 1}, W: the others teach nothing.

    Returns:
        (S,) >= 0; 0 with its graph where nothing is decided.
    """
    logits, truth, weight = logits.float(), foreground.float(), decided.float()
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    dice = squared_dice(logits.sigmoid(), truth, weight)
    return mean_of_decided(entropy, weight) + dice * (weight.sum(dim=(1, 2)) > 0)


def focal_mask_loss(logits: Tensor, foreground: Tensor, decided: Tensor) -> Tensor:
    """What the authors' code does instead: focal loss (alpha 1/4, gamma 2), and no dice.

    It takes probabilities for logits, so that each is squashed twice and stays in (.5, .73).
    Args and result as above.
    """
    squashed, truth = logits.float().sigmoid(), foreground.float()
    entropy = functional.binary_cross_entropy_with_logits(squashed, truth, reduction="none")
    probs = squashed.sigmoid()
    wrong = probs + truth - 2 * probs * truth
    balance = 0.75 - 0.5 * truth
    return mean_of_decided(balance * wrong.square() * entropy, decided.float())


def mean_of_decided(losses: Tensor, weight: Tensor) -> Tensor:
    """(S, h, w) twice -> (S,)"""
    return (losses * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2)).clamp(min=1)
