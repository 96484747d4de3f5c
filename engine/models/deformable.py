"""Modulated deformable convolutions (DCNv2, arXiv:1811.11168) inside a ResNet.

Each output looks at nine places that it chooses itself, and decides how much each of them counts.
"""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck
from torchvision.ops import deform_conv2d

PLACES = 9
"""Of a 3x3 convolution."""


class DeformableConvolution(nn.Module):
    """A 3x3 convolution with offsets and modulation learnt from its input (DCNv2, eq. 1).

    Its `weight` keeps the name and shape of the plain convolution it stands for. It starts without
    offsets and with every place counting one half, as in the paper.
    """

    def __init__(self, plain: nn.Conv2d) -> None:
        super().__init__()
        usual = plain.kernel_size == (3, 3) and plain.padding == plain.dilation
        if not usual or plain.bias is not None or plain.groups != 1:
            raise ValueError(f"only a plain 3x3 convolution without bias can deform, not {plain}")
        self.weight = plain.weight
        self.stride, self.dilation = plain.stride[0], plain.dilation[0]
        self.offsets = nn.Conv2d(
            plain.in_channels,
            3 * PLACES,
            kernel_size=3,
            stride=self.stride,
            padding=self.dilation,
            dilation=self.dilation,
        )
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.offsets.get_parameter("bias"))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, h, w)"""
        told = self.offsets(features).to(features.dtype)
        return deform_conv2d(
            features,
            told[:, : 2 * PLACES],
            self.weight.to(features.dtype),
            stride=(self.stride, self.stride),
            padding=(self.dilation, self.dilation),
            dilation=(self.dilation, self.dilation),
            mask=told[:, 2 * PLACES :].sigmoid(),
        )


def deform(body: nn.Module, stages: tuple[str, ...], interval: int) -> None:
    """Let the 3x3 convolution of every `interval`-th block of these stages deform, in place.

    The first block of a stage is one of them: with 3, blocks 0, 3, 6 and so on.
    """
    for stage in stages:
        for number, block in enumerate(body.get_submodule(stage).children()):
            if number % interval == 0 and isinstance(block, Bottleneck):
                block.conv2 = DeformableConvolution(block.conv2)  # pyright: ignore[reportAttributeAccessIssue]
