"""Which proposals may speak for a box, and how loudly: BoxSeg Sec. 3.3.

Tables of N boxes with K candidates each; where a box has fewer, scores and IoUs are 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from engine.instances import TensorTable


@dataclass(frozen=True)
class Ranked(TensorTable):
    """The candidates of N boxes, best first."""

    rows: Tensor
    """(N, K) which proposal; -1 = none."""
    ious: Tensor
    """(N, K) how its box overlaps the target's; 0 for none."""
    scores: Tensor
    """(N, K) its box score; 0 for none."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def present(self) -> Tensor:
        """(N, K) bool"""
        return self.rows >= 0


def rank_boxes(ious: Tensor, scores: Tensor, allowed: Tensor, counts: Tensor, most: int) -> Ranked:
    """Box-Quality Ranking: the proposals whose boxes overlap each target's most.

    Of equal overlaps the higher score comes first, then the lower index.

    Args:
        ious: (M, N) of proposals and targets.
        scores: (M,) box scores.
        allowed: (M, N) bool: who may be a candidate of whom.
        counts: (N,) how many candidates each target gets, if there are as many.
        most: K; no count is above it.
    """
    order = scores.argsort(descending=True, stable=True)
    by_iou = ious.masked_fill(~allowed, -1)[order].argsort(dim=0, descending=True, stable=True)
    rows = order[by_iou[:most]].T
    present = allowed.T.gather(1, rows)
    present &= torch.arange(rows.shape[1], device=rows.device) < counts[:, None]
    missing = (0, most - rows.shape[1])
    return Ranked(
        rows=functional.pad(rows.masked_fill(~present, -1), missing, value=-1),
        ious=functional.pad(ious.T.gather(1, rows).masked_fill(~present, 0), missing),
        scores=functional.pad(scores[rows].masked_fill(~present, 0), missing),
    )


def one_each(rows: Tensor, ious: Tensor, scores: Tensor) -> Ranked:
    """The candidate that something else has chosen for each target; -1 = none.

    (N,) rows, (M, N) IoUs, (M,) scores.
    """
    targets = (rows >= 0).nonzero()[:, 0]
    taken = rows[targets]
    chosen_iou, chosen_score = ious.new_zeros(len(rows)), scores.new_zeros(len(rows))
    chosen_iou[targets], chosen_score[targets] = ious[taken, targets], scores[taken]
    return Ranked(rows[:, None], chosen_iou[:, None], chosen_score[:, None])


def adaptive_count(areas: Tensor, least: int, most: int, small: float, large: float) -> Tensor:
    """Eq. 4: how many candidates a target gets; linear in its side between two areas.

    Args:
        areas: (N,) of the boxes, pixels of the original image.
        least: up to an area of `small`.
        most: from an area of `large` on.

    Returns:
        (N,) int64, rounded; halves go up.
    """
    low, high = small**0.5, large**0.5
    share = ((areas.sqrt() - low) / (high - low)).clamp(0, 1)
    return (least + (most - least) * share + 0.5).floor().long()


def box_quality(scores: Tensor, ious: Tensor, threshold: float) -> Tensor:
    """The geometric mean of box score and IoU; 0 where the score is not above the threshold.

    Any shape, the same for both. -> that shape, in [0, 1]
    """
    return (scores * ious).sqrt() * (scores > threshold)


def mean_box_score(scores: Tensor, threshold: float) -> Tensor:
    """S_b of Eq. 5: the mean over scores above the threshold, 0 without any. (N, K) -> (N,)"""
    counted = scores > threshold
    return (scores * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1)
