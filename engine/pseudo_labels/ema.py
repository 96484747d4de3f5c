"""The teacher: a moving average of the student, never optimised itself."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import torch
from torch import Tensor, nn


@torch.no_grad()
def copy_weights(teacher: nn.Module, student: nn.Module) -> None:
    """Make parameters and buffers of the teacher equal to the student's, in place."""
    for old, new in _pairs(teacher, student):
        old.copy_(new)


@torch.no_grad()
def update_ema(teacher: nn.Module, student: nn.Module, decay: float) -> None:
    """teacher := decay * teacher + (1 - decay) * student, in place.

    Over all parameters and floating-point buffers (BatchNorm statistics too); integer buffers
    are copied, for half a batch counter means nothing.

    Raises:
        ValueError: when decay is outside [0, 1] or the networks differ in shape.
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"EMA decay {decay}: expected a number in [0, 1]")
    averaged, targets = [], []
    for old, new in _pairs(teacher, student):
        if old.is_floating_point():
            averaged.append(old)
            targets.append(new)
        else:
            old.copy_(new)
    torch._foreach_lerp_(averaged, targets, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]


def warmed_up_decay(step: int, ema_decay: float) -> float:
    """min(decay, 1 - 1 / (step + 1)): a copy at step 0, then the mean of all, then the decay."""
    return min(ema_decay, 1 - 1 / (step + 1))


def recent_decay(step: int, ema_decay: float) -> float:
    """min(decay, step / (step + 10)): a copy at step 0, then a mean of about the last tenth."""
    return min(ema_decay, step / (step + 10))


def _pairs(teacher: nn.Module, student: nn.Module) -> list[tuple[Tensor, Tensor]]:
    pairs = list(zip(_state(teacher), _state(student), strict=True))
    for old, new in pairs:
        if old.shape != new.shape:
            raise ValueError(
                f"teacher and student differ: {tuple(old.shape)} against {tuple(new.shape)}"
            )
    return pairs


def _state(module: nn.Module) -> Iterable[Tensor]:
    return chain(module.parameters(), module.buffers())
