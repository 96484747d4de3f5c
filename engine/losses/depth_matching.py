"""Which of a teacher's masks stands for which box: the depth-aware Hungarian of Pseudo-Depth.

Box overlaps alone hardly tell the predictions of neighbouring places apart. A good mask lies where
depth is smooth; a mask that crosses the edge of an object lies where it jumps.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from engine.losses.depth import depth_similarity
from engine.losses.pairwise import ends, neighbour_offsets

FORBIDDEN = 1e6
"""Cost of a pair that must not be."""
TIE_BREAK = 1e-9
"""Of equal matches the prediction with the higher score wins."""


@torch.no_grad()
def depth_consistency(
    probs: Tensor,
    depth: Tensor,
    valid: Tensor,
    *,
    sharpness: float,
    threshold: float,
    dilation: int,
) -> Tensor:
    """Share of a mask's neighbour pairs that are at one depth, Eq. 8.

    A pair counts from both ends, with the probability of the end it leaves, and as much as its
    depths are alike.

    Args:
        probs: (M, h, w) mask probabilities.
        depth: (h, w) in [0, 1].
        valid: (h, w) bool; a pair with an end on padding does not count.
        sharpness: kappa of `depth_similarity`.
        threshold: pairs more alike than this are at one depth.
        dilation: cells between neighbours.

    Returns:
        (M,) in [0, 1]; 0 for an empty mask.
    """
    alike, all_pairs = torch.zeros_like(depth), torch.zeros_like(depth)
    for offset in neighbour_offsets(dilation):
        similarity = depth_similarity(depth[None], offset, sharpness)[0]
        first, second = ends(valid, offset)
        similarity = similarity * (first & second)
        at_one_depth = similarity * (similarity > threshold)
        for total, weights in ((all_pairs, similarity), (alike, at_one_depth)):
            for end in ends(total, offset):
                end += weights  # a view: every cell gathers the pairs it is an end of
    flat = probs.flatten(1).float()
    with torch.autocast(probs.device.type, enabled=False):  # sums of thousands of pairs
        share = flat @ torch.stack([alike.flatten(), all_pairs.flatten()], dim=1)
    return torch.where(share[:, 1] > 0, share[:, 0] / share[:, 1].clamp(min=1e-12), 0)


def match_scores(
    ious: Tensor, depth: Tensor, scores: Tensor, *, iou_share: float, depth_share: float
) -> Tensor:
    """S_match, Eq. 9: box IoU, depth consistency and score in one.

    Authors: the score's share is 1 - 0.8 - 0.2 = 0.

    Args:
        ious: (N, M) of targets and predictions.
        depth: (M,) depth consistency.
        scores: (M,) of the predictions.
        iou_share: alpha.
        depth_share: beta; what is left of 1 is the score's.

    Returns:
        (N, M) in [0, 1].
    """
    score_share = max(0.0, 1 - iou_share - depth_share)
    return iou_share * ious + depth_share * depth + score_share * scores


def assign_masks(
    match: NDArray[np.floating], allowed: NDArray[np.bool_], scores: NDArray[np.floating]
) -> NDArray[np.int64]:
    """The prediction of each target, each at most once, so that the sum of matches is largest.

    Args:
        match: (N, M) how well target and prediction match.
        allowed: (N, M) False: never this pair.
        scores: (M,) decide between equal matches.

    Returns:
        (N,) index of a prediction, -1 for none.
    """
    of_target = np.full(match.shape[0], -1, np.int64)
    gain = match.astype(np.float64) + TIE_BREAK * scores.astype(np.float64)
    targets, predictions = linear_sum_assignment(np.where(allowed, -gain, FORBIDDEN))
    usable = allowed[targets, predictions]
    of_target[targets[usable]] = predictions[usable]
    return of_target
