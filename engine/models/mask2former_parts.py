"""The networks inside `mask2former`: presets, backbones, and their initial weights.

Pixel decoder and transformer are the transformers library's. Their initial weights are set here
as the authors set them: the library draws several of them smaller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Mask2FormerConfig as NetworkConfig
from transformers import SwinConfig
from transformers.models.mask2former.modeling_mask2former import (
    Mask2FormerPixelDecoder,
    Mask2FormerPixelDecoderEncoderMultiscaleDeformableAttention,
    Mask2FormerTransformerModule,
)
from transformers.models.swin.modeling_swin import SwinBackbone

from engine.models.backbones import Backbone, build_backbone
from lab.config import Mask2FormerConfig

STAGES = ["stage1", "stage2", "stage3", "stage4"]


@dataclass(frozen=True)
class Swin:
    """Sizes of a Swin transformer."""

    width: int
    depths: tuple[int, int, int, int]
    heads: tuple[int, int, int, int]
    window: int


@dataclass(frozen=True)
class Architecture:
    """What a preset fixes; the defaults are the paper's."""

    swin: Swin | None = None
    """None = a ResNet."""
    channels: int = 256
    heads: int = 8
    encoder_layers: int = 6
    decoder_layers: int = 9
    encoder_width: int = 1024
    """Of the feed-forward layers."""
    decoder_width: int = 2048
    num_queries: int = 100
    num_points: int = 12544
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


PRESETS = {
    "tiny": Architecture(
        channels=64,
        heads=4,
        encoder_layers=1,
        decoder_layers=3,
        encoder_width=128,
        decoder_width=256,
        num_queries=30,
        num_points=1024,
        mean=(0.45, 0.45, 0.45),
        std=(0.225, 0.225, 0.225),
    ),
    "r50": Architecture(),
    "r101": Architecture(),
    "swin_t": Architecture(Swin(96, (2, 2, 6, 2), (3, 6, 12, 24), 7)),
    "swin_s": Architecture(Swin(96, (2, 2, 18, 2), (3, 6, 12, 24), 7)),
    "swin_b": Architecture(Swin(128, (2, 2, 18, 2), (4, 8, 16, 32), 12)),
    "swin_l": Architecture(Swin(192, (2, 2, 18, 2), (6, 12, 24, 48), 12), num_queries=200),
}


class SwinFeatures(nn.Module):
    """A Swin transformer that returns its four stages, as `Backbone` does for a ResNet."""

    def __init__(self, swin: Swin) -> None:
        super().__init__()
        config = SwinConfig(
            embed_dim=swin.width,
            depths=list(swin.depths),
            num_heads=list(swin.heads),
            window_size=swin.window,
            drop_path_rate=0.3,
            out_features=STAGES,  # pyright: ignore[reportCallIssue]
        )
        self.body = SwinBackbone(config)
        # The norm after the last stage: nothing reads what it makes.
        self.body.swin.register_module("layernorm", nn.Identity())
        self.channels = tuple(swin.width * 2**level for level in range(4))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return dict(zip(STAGES, self.body(images).feature_maps, strict=True))


def architecture(config: Mask2FormerConfig) -> Architecture:
    """The preset with what the config says otherwise."""
    said = {
        name: value
        for name in ("num_queries", "num_points", "decoder_layers")
        if (value := getattr(config, name)) is not None
    }
    return replace(PRESETS[config.preset], **said)


def build_features(config: Mask2FormerConfig, arch: Architecture) -> Backbone | SwinFeatures:
    """The backbone with random weights, its first stages frozen."""
    if arch.swin is None:
        pretrained = config.weights is not None or config.backbone_weights is not None
        return build_backbone(
            config.preset, config.width, config.freeze_stages, pretrained=pretrained
        )
    features = SwinFeatures(arch.swin)
    _freeze_swin(features.body, config.freeze_stages)
    return features


def build_decoders(
    arch: Architecture, channels: tuple[int, ...]
) -> tuple[Mask2FormerPixelDecoder, Mask2FormerTransformerModule]:
    """Pixel decoder and transformer with the authors' initial weights."""
    config = NetworkConfig(
        feature_size=arch.channels,
        mask_feature_size=arch.channels,
        hidden_dim=arch.channels,
        encoder_feedforward_dim=arch.encoder_width,
        encoder_layers=arch.encoder_layers,
        decoder_layers=arch.decoder_layers + 1,  # the library counts the learnable queries' own
        num_attention_heads=arch.heads,
        dim_feedforward=arch.decoder_width,
        num_queries=arch.num_queries,
    )
    pixels = Mask2FormerPixelDecoder(config, list(channels))
    transformer = Mask2FormerTransformerModule(arch.channels, config)
    _initialize_pixels(pixels)
    _initialize_transformer(transformer)
    return pixels, transformer


@torch.no_grad()
def _initialize_pixels(decoder: Mask2FormerPixelDecoder) -> None:
    nn.init.normal_(decoder.level_embed)
    _xavier(decoder.encoder)
    for module in decoder.encoder.modules():
        if isinstance(module, Mask2FormerPixelDecoderEncoderMultiscaleDeformableAttention):
            _initialize_attention(module)
    for projection in decoder.input_projections:
        _xavier(projection)
        nn.init.zeros_(projection[0].bias)  # pyright: ignore[reportIndexIssue]
    lateral = [*decoder.lateral_convolutions, *decoder.output_convolutions]
    for convolution in [decoder.mask_projection, *(pair[0] for pair in lateral)]:
        nn.init.kaiming_uniform_(convolution.weight, a=1)
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)


def _initialize_attention(
    attention: Mask2FormerPixelDecoderEncoderMultiscaleDeformableAttention,
) -> None:
    """Heads look into evenly spread directions, their k-th point k steps away."""
    heads, levels, points = attention.n_heads, attention.n_levels, attention.n_points
    angles = torch.arange(heads) * (2 * math.pi / heads)
    directions = torch.stack([angles.cos(), angles.sin()], dim=1)
    directions = directions / directions.abs().amax(dim=1, keepdim=True)
    steps = torch.arange(1, points + 1)[None, None, :, None]
    offsets = (directions[:, None, None] * steps).expand(heads, levels, points, 2)
    attention.sampling_offsets.bias.copy_(offsets.flatten())
    for tensor in (
        attention.sampling_offsets.weight,
        attention.attention_weights.weight,
        attention.attention_weights.bias,
        attention.value_proj.bias,
        attention.output_proj.bias,
    ):
        nn.init.zeros_(tensor)


@torch.no_grad()
def _initialize_transformer(transformer: Mask2FormerTransformerModule) -> None:
    for layer in transformer.decoder.layers:
        _xavier(layer)
        attention: Any = layer.self_attn
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
            # The authors draw the three as one matrix, three times as high.
            nn.init.xavier_uniform_(projection.weight, gain=math.sqrt(0.5))
            nn.init.zeros_(projection.bias)
        nn.init.zeros_(attention.out_proj.bias)


def _xavier(module: nn.Module) -> None:
    for parameter in module.parameters():
        if parameter.ndim > 1:
            nn.init.xavier_uniform_(parameter)


def _freeze_swin(body: SwinBackbone, stages: int) -> None:
    """Stop gradients of the patches (stages >= 1) and of stage 1... (>= 2); 5 = everything."""
    frozen: list[nn.Module] = [body.swin.embeddings] if stages >= 1 else []
    frozen += list(body.swin.encoder.layers)[: max(0, stages - 1)]
    for module in [body] if stages == 5 else frozen:
        module.requires_grad_(False)
