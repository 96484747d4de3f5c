"""Which query answers for which box: Mask2Former's assignment where no mask is known.

As in Box2Mask (arXiv:2212.01579): a mask nobody knows still casts the shadows of its box, so the
shadows of a query's mask are compared with those instead of the mask with a mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from engine.instances import Targets
from engine.losses.box_mask import box_shadows
from engine.losses.matching import Pairs, assign, class_costs, dice_costs


@dataclass(frozen=True)
class BoxWeights:
    """How much class and shadows count in the cost."""

    classes: float = 2.0
    shadows: float = 5.0


@dataclass(frozen=True)
class Shadows:
    """What N masks of each of B images cast on the two axes; logits, or {0, 1} of boxes."""

    columns: Tensor
    """(B, N, w)"""
    rows: Tensor
    """(B, N, h)"""


@torch.no_grad()
def match_boxes(
    class_logits: Tensor,
    mask_logits: Sequence[Tensor],
    targets: Sequence[Targets],
    stride: int,
    weights: BoxWeights,
) -> Pairs:
    """Match every layer's queries to the boxes of each image. Looks at no mask.

    Args:
        class_logits: (L, B, Q, C + 1), "no object" last.
        mask_logits: L tensors (B, Q, h, w).
        targets: of the B images, boxes in pixels.
        stride: pixels per cell of the mask logits.
    """
    counts = [len(one) for one in targets]
    if sum(counts) == 0:
        return Pairs.none(len(mask_logits), class_logits.device)
    labels = pad_sequence([one.labels for one in targets], batch_first=True)
    height, width = mask_logits[0].shape[2:]
    wanted = target_shadows(targets, height, width, stride)
    with torch.autocast(class_logits.device.type, enabled=False):
        costs = [
            box_costs(classes, mask_shadows(masks), labels, wanted, weights)
            for classes, masks in zip(class_logits, mask_logits, strict=True)
        ]
    return assign(costs, counts)


def box_costs(
    class_logits: Tensor, shadows: Shadows, labels: Tensor, wanted: Shadows, weights: BoxWeights
) -> Tensor:
    """The cost of every query for every box of its image.

    2 * -softmax(class) + 5 * (dice of the columns + dice of the rows) by default. The dice is the
    one of Mask2Former's own cost, smoothed by 1; the projection loss has squared denominators.

    Args:
        class_logits: (B, Q, C + 1), "no object" last.
        shadows: of the queries' masks, logits.
        labels: (B, N) int64.
        wanted: of the boxes, {0, 1}.

    Returns:
        (B, Q, N) float32.
    """
    along_x = dice_costs(shadows.columns.float().sigmoid(), wanted.columns)
    along_y = dice_costs(shadows.rows.float().sigmoid(), wanted.rows)
    return weights.classes * class_costs(class_logits, labels) + weights.shadows * (
        along_x + along_y
    )


def mask_shadows(mask_logits: Tensor) -> Shadows:
    """The highest logit of every column and of every row. Of (B, Q, h, w)."""
    return Shadows(mask_logits.amax(dim=2), mask_logits.amax(dim=3))


def target_shadows(targets: Sequence[Targets], height: int, width: int, stride: int) -> Shadows:
    """Of the boxes of each image, padded with boxes that cast none; (B, N, ...) float {0, 1}."""
    boxes = pad_sequence([one.boxes for one in targets], batch_first=True)
    columns, rows = box_shadows(boxes.flatten(0, 1), height, width, stride)
    images, most = boxes.shape[:2]
    return Shadows(columns.float().view(images, most, -1), rows.float().view(images, most, -1))
