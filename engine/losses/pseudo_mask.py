"""What a pseudo mask teaches: the pixels of a sample, and which neighbours belong together.

BoxTeacher's noise-aware losses, which BoxSeg keeps: both terms count as far as the mask of the
sample's target is trusted.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from engine import ranks
from engine.box_host import MaskSamples
from engine.losses.box_supervision import grown
from engine.losses.dice import squared_dice
from engine.losses.pairwise import Affinity, Offset, build_affinity, edge_costs, ends
from lab.config import MaskTeacherConfig


def pseudo_mask_losses(
    samples: MaskSamples,
    inside: Tensor,
    masks: Tensor,
    quality: Tensor,
    config: MaskTeacherConfig,
    step: int,
    layers: int = 1,
) -> dict[str, Tensor]:
    """Both terms with their weights.

    Args:
        inside: (S, h, w) bool, the filled boxes of the samples.
        masks: (N, h, w) pseudo masks of all targets in {0, 1}; what has none is empty.
        quality: (N,) how far each is trusted, 0 without a mask.
        layers: how many supervised layers the samples come from: both are summed over them.
    """
    trust, weight = quality[samples.targets], layers * grown(step, config.warmup_steps)
    outlines = mask_affinity(masks, config.affinity_threshold, config.box_loss.dilation)
    pixel = pseudo_mask_loss(samples, masks, trust)
    affinity = pseudo_affinity_loss(samples, inside, outlines, trust)
    return {
        "pixel": weight * config.pixel_weight * pixel,
        "affinity": weight * config.affinity_weight * affinity,
    }


def pseudo_mask_loss(samples: MaskSamples, masks: Tensor, quality: Tensor) -> Tensor:
    """Dice against the pseudo mask of each sample's target, weighted by its quality. -> ()

    The mean is over the samples whose quality is above 0; it is 0 when there are none.

    Args:
        masks: (N, h, w) of all targets.
        quality: (S,) of each sample's target.
    """
    dice = squared_dice(samples.logits.sigmoid(), masks[samples.targets])
    return weighted_mean(dice, quality)


def mask_affinity(masks: Tensor, threshold: float, dilation: int) -> Affinity:
    """Neighbours that a pseudo mask puts together: P(same label) of the smoothed mask.

    (N, h, w) -> edges of N maps. Smoothing takes half of a 3 x 3 mean (zeros beyond the edge
    count), so that a wrong pixel at an outline joins nothing for sure.
    """
    smooth = smoothed(masks)

    def alike(offset: Offset) -> Tensor:
        first, second = ends(smooth, offset)
        return first * second + (1 - first) * (1 - second) >= threshold

    return build_affinity(alike, dilation)


def smoothed(masks: Tensor) -> Tensor:
    """The mean of a mask and its 3 x 3 average. (N, h, w) -> (N, h, w)"""
    return (masks + functional.avg_pool2d(masks[:, None], 3, stride=1, padding=1)[:, 0]) / 2


def pseudo_affinity_loss(
    samples: MaskSamples, inside: Tensor, outlines: Affinity, quality: Tensor
) -> Tensor:
    """Mean edge cost of each sample under its target's pseudo mask, weighted as above. -> ()

    Args:
        inside: (S, h, w) filled boxes: an edge starts inside.
        outlines: over all targets.
        quality: (S,)
    """
    cost, count = edge_costs(samples.logits, inside, outlines, samples.targets)
    return weighted_mean(cost / count.clamp(min=1), quality)


def weighted_mean(losses: Tensor, quality: Tensor) -> Tensor:
    """sum(q l) / #(q > 0); 0 with its graph where nothing counts. (S,), (S,) -> ()"""
    return (quality * losses).sum() / ranks.normaliser((quality > 0).sum())
