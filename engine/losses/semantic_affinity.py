"""Neighbours of one colour and of one feature: what the pairwise term of SIM's authors joins."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from engine.interfaces import ViewGeometry
from engine.losses.box_supervision import trusted_cells
from engine.losses.colour import rgb_to_lab
from engine.losses.pairwise import Affinity, Offset, build_affinity, colour_similarity, ends
from lab.config import BoxLossConfig


@torch.no_grad()
def semantic_affinity(
    images: Tensor,
    features: Tensor,
    unseen: Tensor,
    geometry: Sequence[ViewGeometry],
    stride: int,
    config: BoxLossConfig,
) -> Affinity:
    """Edges where the product of both similarities reaches `colour_threshold`.

    Args:
        images: (B, 3, H, W) in [0, 1], not jittered.
        features: (B, D, h, w) unit vectors.
        unseen: (B, h, w) bool, cells whose features are of something else (an object was pasted
            there since): an edge with such an end goes by its colours.
        stride: H / h.
    """
    lab = rgb_to_lab(functional.avg_pool2d(images.float(), stride))
    height, width = features.shape[2:]
    valid = trusted_cells(geometry, (height, width), stride, config.bottom_rows, images.device)

    def alike(offset: Offset) -> Tensor:
        foreign = torch.stack(ends(unseen, offset)).any(dim=0)
        feature = feature_similarity(features, offset).masked_fill(foreign, 1.0)
        return colour_similarity(lab, offset) * feature >= config.colour_threshold

    return build_affinity(alike, config.dilation, valid)


def feature_similarity(features: Tensor, offset: Offset) -> Tensor:
    """exp(-|z_a - z_b|) of all pairs: 1 for one feature. (N, D, H, W) -> (N, H', W')"""
    first, second = ends(features, offset)
    return torch.exp(-(first - second).square().sum(dim=-3).sqrt())
