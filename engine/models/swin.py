"""Swin backbones (arXiv:2103.14030): torchvision's, as a pyramid wants them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from torch import Tensor, nn
from torchvision.models.swin_transformer import SwinTransformer

STAGES = (1, 3, 5, 7)
"""Where the four stages are among torchvision's features; between them patches are merged."""


class SwinBackbone(nn.Module):
    """A Swin transformer that returns its four stages as {"c2": stride 4, ..., "c5": stride 32}.

    Each is normalised before it leaves, as in the Swin paper's detectors; those norms are not part
    of a classifier's weights.
    """

    def __init__(self, body: SwinTransformer, width: int) -> None:
        super().__init__()
        self.channels = (width, 2 * width, 4 * width, 8 * width)
        del body.norm, body.permute, body.avgpool, body.flatten, body.head
        self.body = body
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for channels in self.channels)

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        features: OrderedDict[str, Tensor] = OrderedDict()
        x = images
        for index, layer in enumerate(self.body.features):
            x = layer(x)
            if index in STAGES:
                level = STAGES.index(index)
                seen = self.norms[level](x)
                features[f"c{level + 2}"] = seen.permute(0, 3, 1, 2).contiguous()
        return features


def build_swin(preset: Literal["swin_t", "swin_b"], freeze_stages: int) -> SwinBackbone:
    """Swin-T or Swin-B with random weights; `freeze_stages` as for residual networks."""
    width, depth, heads = (
        (96, 6, [3, 6, 12, 24]) if preset == "swin_t" else (128, 18, [4, 8, 16, 32])
    )
    body = SwinTransformer(
        patch_size=[4, 4],
        embed_dim=width,
        depths=[2, 2, depth, 2],
        num_heads=heads,
        window_size=[7, 7],
        stochastic_depth_prob=0.2,
    )
    frozen = max(1, 2 * freeze_stages - 2) if freeze_stages else 0
    for layer in list(body.features)[:frozen]:
        layer.requires_grad_(False)
    return SwinBackbone(body, width)
