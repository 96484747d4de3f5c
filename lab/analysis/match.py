"""Predictions x ground truth of one image by mask IoU, straight from the RLEs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.analysis.rle import raw_ious
from lab.datasets.records import BoolArray, IntArray, Rle

Float64Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """The overlapping (prediction, truth) pairs of one image, in row-major order; all (M,)."""

    pred_index: IntArray
    gt_index: IntArray
    iou: Float64Array


def mask_ious(
    predictions: Sequence[Rle], truths: Sequence[Rle], is_crowd: BoolArray
) -> Float64Array:
    """Mask IoU of every prediction with every truth: (P, G) in [0, 1].

    Against a crowd region the value is intersection / prediction area, as COCO has it. Each value
    is the correctly rounded quotient of two pixel counts, so comparing it with a threshold in
    float64 is exact; a float32 copy is not (float32(0.7) < 0.7).

    Raises:
        ValueError: when the masks do not all have one size, or `is_crowd` has another length.
    """
    if len(is_crowd) != len(truths):
        raise ValueError(f"is_crowd has {len(is_crowd)} entries for {len(truths)} truths")
    if not predictions or not truths:
        return np.zeros((len(predictions), len(truths)))
    _refuse_mixed_sizes(predictions, truths)
    return raw_ious(predictions, truths, is_crowd)


def pairs(ious: Float64Array, at_least: float = 0.1) -> Pairs:
    """The pairs of a (P, G) IoU matrix that reach `at_least`: about 1 in 15 at 0.1."""
    pred_index, gt_index = np.nonzero(ious >= at_least)
    return Pairs(pred_index, gt_index, ious[pred_index, gt_index])


def _refuse_mixed_sizes(predictions: Sequence[Rle], truths: Sequence[Rle]) -> None:
    """pycocotools answers IoU -1 for such a pair, which would pass as a false positive."""
    height, width = truths[0].height, truths[0].width
    for what, masks in (("truth", truths), ("prediction", predictions)):
        for index, mask in enumerate(masks):
            if (mask.height, mask.width) != (height, width):
                raise ValueError(
                    f"mask of {what} {index} is {mask.height}x{mask.width}, "
                    f"the image's truth is {height}x{width}"
                )
