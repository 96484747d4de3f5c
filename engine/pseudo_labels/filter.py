"""Which candidates become pseudo-labels, and which rule dropped the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.datasets.records import DropRule


@dataclass(frozen=True)
class Gate:
    """One rule that every candidate has to pass."""

    rule: DropRule
    passed: Tensor
    """(N,) bool."""
    threshold: float


@dataclass(frozen=True)
class Verdict:
    """What became of N candidates."""

    kept: Tensor
    """(N,) bool."""
    rules: Tensor
    """(N,) int64, the DropRule that failed first; DropRule.KEPT when none did."""
    values: Tensor
    """(N,) float32, that rule's threshold; NaN when kept."""


def pass_gates(gates: Sequence[Gate]) -> Verdict:
    """Kept is what passes every gate; otherwise the first gate that failed is to blame."""
    rules = torch.full_like(gates[0].passed, DropRule.KEPT, dtype=torch.int64)
    values = torch.full_like(gates[0].passed, torch.nan, dtype=torch.float32)
    for gate in reversed(gates):
        rules = rules.masked_fill(~gate.passed, gate.rule)
        values = values.masked_fill(~gate.passed, gate.threshold)
    return Verdict(kept=rules == DropRule.KEPT, rules=rules, values=values)


def keep_decoupled(
    class_quality: Tensor,
    mask_quality: Tensor,
    area: Tensor,
    *,
    class_threshold: float,
    mask_threshold: float,
    min_area: int,
) -> Verdict:
    """PL-DC Eq. 5: class and mask must each be good enough (>=); specks are dropped (area >).

    All tensors are (N,). The area rule is in the authors' code only.
    """
    return pass_gates(
        [
            Gate(DropRule.CLASS_QUALITY, class_quality >= class_threshold, class_threshold),
            Gate(DropRule.MASK_QUALITY, mask_quality >= mask_threshold, mask_threshold),
            Gate(DropRule.MASK_AREA, area > min_area, min_area),
        ]
    )


def keep_coupled(score: Tensor, area: Tensor, *, threshold: float, min_area: int) -> Verdict:
    """PL-DC without DDTF: one threshold on class quality times mask quality. All (N,)."""
    return pass_gates(
        [
            Gate(DropRule.COUPLED_SCORE, score >= threshold, threshold),
            Gate(DropRule.MASK_AREA, area > min_area, min_area),
        ]
    )


def keep_confident(
    class_quality: Tensor,
    soft_area: Tensor,
    area: Tensor,
    *,
    class_threshold: float,
    min_area: int,
) -> Verdict:
    """GuidedDistillation: class quality above one threshold (>), enough probability mass (>).

    All tensors are (N,). A mask of many weak pixels can have the mass and no pixel above one
    half, so an empty mask is dropped as well (the authors' code keeps it).
    """
    large_enough = (soft_area > min_area) & (area > 0)
    return pass_gates(
        [
            Gate(DropRule.CLASS_QUALITY, class_quality > class_threshold, class_threshold),
            Gate(DropRule.MASK_AREA, large_enough, min_area),
        ]
    )


def keep_matched(match_score: Tensor, mask_quality: Tensor, threshold: float) -> Verdict:
    """Pseudo-Depth Eq. 10: matched well enough (>); a mask without a pixel teaches nothing.

    All tensors are (N,). A mask's quality is 0 where it is empty.
    """
    return pass_gates(
        [
            Gate(DropRule.MATCH_SCORE, match_score > threshold, threshold),
            Gate(DropRule.MASK_AREA, mask_quality > 0, 0),
        ]
    )
