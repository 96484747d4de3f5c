"""Optimiser, learning rate and mixed precision: all a function of the config and the step."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from lab.config import ScheduleConfig

BACKBONE = "backbone."
"""What the names of a backbone's parameters begin with, in every host."""
RATE = "rate"
"""Key of a group's share of the learning rate; checkpoints of old have none."""


def build_optimizer(module: nn.Module, schedule: ScheduleConfig) -> torch.optim.Optimizer:
    """AdamW or SGD over the trainable parameters; norms and biases do not decay."""
    groups = parameter_groups(module, schedule)
    if schedule.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=schedule.learning_rate, momentum=0.9)
    return torch.optim.AdamW(groups, lr=schedule.learning_rate, fused=True)


def learning_rate(step: int, schedule: ScheduleConfig) -> float:
    """The rate at a step: linear warm-up, then constant, milestones or a late cosine."""
    rate = schedule.learning_rate
    if step < schedule.warmup_steps:
        return rate * (step + 1) / (schedule.warmup_steps + 1)
    if schedule.decay == "multistep":
        return rate * 0.1 ** sum(step >= milestone for milestone in schedule.milestones)
    if schedule.decay == "cosine" and step >= schedule.cosine_start:
        end = schedule.cosine_end or schedule.max_steps
        length = max(1, end - schedule.cosine_start)
        progress = min(1.0, (step - schedule.cosine_start) / length)
        low = schedule.final_rate
        return rate * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * progress)))
    return rate


def parameter_groups(module: nn.Module, schedule: ScheduleConfig) -> list[dict[str, Any]]:
    """What decays and what does not; the backbone apart where it has a rate of its own."""
    trained = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    share = schedule.backbone_rate
    apart = [share != 1 and name.startswith(BACKBONE) for name, _ in trained]
    rest = [p for (_, p), own in zip(trained, apart, strict=True) if not own]
    backbone = [p for (_, p), own in zip(trained, apart, strict=True) if own]
    groups = _groups(rest, schedule.weight_decay, 1.0)
    return [*groups, *_groups(backbone, schedule.weight_decay, share)] if backbone else groups


def _groups(parameters: list[nn.Parameter], decay: float, share: float) -> list[dict[str, Any]]:
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay, RATE: share},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0, RATE: share},
    ]


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give each group of parameters its share of the rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get(RATE, 1.0)


def autocast(schedule: ScheduleConfig, device: torch.device) -> AbstractContextManager[object]:
    if schedule.amp == "off":
        return nullcontext()
    dtype = torch.bfloat16 if schedule.amp == "bf16" else torch.float16
    return torch.autocast(device.type, dtype)


def step_seed(seed: int, step: int) -> int:
    """One seed per (run, step), so that a resumed run draws what an unbroken one would have."""
    mixed = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) % 2**64
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    return (mixed ^ (mixed >> 31)) % 2**63
