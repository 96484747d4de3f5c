"""Which detection stands for which box: BoxTeacher's box-based pseudo mask assignment (BPMA)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import box_iou

from engine.box_host import Proposed
from engine.interfaces import LabeledBatch


def match_batch(
    found: Proposed, batch: LabeledBatch, min_iou: float, min_score: float
) -> list[Tensor]:
    """Per image the detection of each of its N targets, -1 without one. (N,) int64 each."""
    device = batch.weak.device
    rows = []
    for proposals, target in zip(found.images, batch.targets, strict=True):
        ious = box_iou(proposals.boxes, target.boxes)
        ious = ious.masked_fill((proposals.scores < min_score)[:, None], -1)
        matched = match_detections(ious.nan_to_num(0).cpu().numpy(), min_iou)
        rows.append(torch.from_numpy(matched).to(device))
    return rows


def match_detections(ious: NDArray[np.floating], min_iou: float = 0.5) -> NDArray[np.int64]:
    """BPMA: the detection that stands for each target.

    Detections choose in order, best score first: each takes the target not yet taken whose box
    overlaps its own most, if the IoU is at least `min_iou`. Classes are not compared.
    Authors: a target given to detection 0 can be taken again. Here: it cannot.

    Args:
        ious: (D, N), detections in the order of their scores.

    Returns:
        (N,) index of a detection, -1 for none.
    """
    of_target = np.full(ious.shape[1], -1, np.int64)
    for detection, row in enumerate(ious):
        free = np.where(of_target < 0, row, -1.0)
        if free.size and free.max() >= min_iou:
            of_target[free.argmax()] = detection
    return of_target
