"""What a box says about the mask logits that a host hands out: BoxInst's losses for everyone.

A method fills the boxes of its samples once (`sampled_boxes`), joins the cells of one colour once
(`image_affinity`), and asks for both terms (`box_mask_losses`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine import ranks
from engine.box_host import MaskSamples
from engine.instances import Targets
from engine.interfaces import ViewGeometry
from engine.losses.box_mask import fill_boxes, projection_loss
from engine.losses.pairwise import Affinity, colour_affinity, pairwise_loss, shown_cells
from lab.config import BoxLossConfig


def filled_targets(targets: Sequence[Targets], height: int, width: int, stride: int) -> Tensor:
    """The filled boxes of all targets of a batch, one after the other. -> (N, h, w) bool"""
    return fill_boxes(torch.cat([t.boxes for t in targets]), height, width, stride)


def sampled_boxes(samples: MaskSamples, targets: Sequence[Targets], stride: int) -> Tensor:
    """The filled box of each sample's target. -> (S, h, w) bool"""
    height, width = samples.logits.shape[1:]
    return filled_targets(targets, height, width, stride)[samples.targets]


def trusted_cells(
    geometry: Sequence[ViewGeometry],
    size: tuple[int, int],
    stride: int,
    bottom_rows: int,
    device: torch.device,
) -> Tensor:
    """Cells that show the image, but for the bottom rows of the image. -> (B, h, w) bool

    Args:
        size: h, w, cells.
        bottom_rows: pixels of the original image, rescaled as the view is.
    """
    rows = [trusted_rows(view, bottom_rows) for view in geometry]
    limits = [(rows_of, view.width) for rows_of, view in zip(rows, geometry, strict=True)]
    return shown_cells(limits, *size, stride, device)


def trusted_rows(view: ViewGeometry, bottom_rows: int) -> int:
    """How many rows of a view show the image without its bottom rows; 0 when it shows only them."""
    image_rows = round(view.image_height * view.scale_y)
    end = image_rows - int(bottom_rows * view.scale_y) - int(view.offset_y)
    return max(0, min(view.height, end))


def image_affinity(
    images: Tensor, geometry: Sequence[ViewGeometry], stride: int, config: BoxLossConfig
) -> Affinity:
    """Which neighbouring cells of each image have one colour.

    Args:
        images: (B, 3, H, W) in [0, 1] before any jitter of colours.
        stride: pixels per cell of the mask logits.
    """
    size = (images.shape[2] // stride, images.shape[3] // stride)
    valid = trusted_cells(geometry, size, stride, config.bottom_rows, images.device)
    return colour_affinity(
        images, valid, stride=stride, threshold=config.colour_threshold, dilation=config.dilation
    )


def box_mask_losses(
    samples: MaskSamples,
    inside: Tensor,
    colours: Affinity,
    config: BoxLossConfig,
    step: int,
    layers: int = 1,
) -> dict[str, Tensor]:
    """BoxInst's projection term, a mean over samples, and its pairwise term, a mean over edges.

    Args:
        inside: (S, h, w) the filled boxes of the samples.
        colours: over the images of the batch.
        layers: how many supervised layers the samples come from: both are summed over them.
    """
    logits = samples.logits
    projection = projection_loss(logits.sigmoid(), inside).sum() / ranks.normaliser(len(samples))
    pairwise = pairwise_loss(logits, inside, colours, samples.images)
    return {
        "projection": layers * config.projection_weight * projection,
        "pairwise": layers * config.pairwise_weight * grown(step, config.warmup_steps) * pairwise,
    }


def grown(step: int, warmup_steps: int) -> float:
    """A factor that grows linearly from 0 to 1 and stays there."""
    return min(1.0, step / warmup_steps) if warmup_steps else 1.0
