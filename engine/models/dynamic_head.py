"""The mask head of CondInst: a tiny network whose weights are written for each instance.

Three 1x1 convolutions of 8 channels with ReLU between, over the mask features and two coordinates
relative to the instance's location (arXiv:2003.05664, Sec. 3.3): 169 parameters for 8 feature
channels, 233 for 16. All instances run together as batched matrix products.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

CHANNELS = 8


def parameter_count(feature_channels: int) -> int:
    """Weights and biases of the three layers."""
    first = (feature_channels + 2) * CHANNELS + CHANNELS
    return first + CHANNELS * CHANNELS + CHANNELS + CHANNELS + 1


def split_parameters(parameters: Tensor, feature_channels: int) -> list[tuple[Tensor, Tensor]]:
    """(N, P) -> three (weight (N, out, in), bias (N, out, 1))."""
    inputs = (feature_channels + 2, CHANNELS, CHANNELS)
    outputs = (CHANNELS, CHANNELS, 1)
    sizes = [i * o for i, o in zip(inputs, outputs, strict=True)] + list(outputs)
    weights_then_biases = parameters.split(sizes, dim=1)
    return [
        (weight.reshape(-1, o, i), bias.reshape(-1, o, 1))
        for weight, bias, i, o in zip(
            weights_then_biases[:3], weights_then_biases[3:], inputs, outputs, strict=True
        )
    ]


def relative_coordinates(
    points: Tensor, sizes: Tensor, height: int, width: int, stride: int
) -> Tensor:
    """(instance location - pixel) / size of interest, for x and y. -> (N, 2, height * width)."""
    ys = torch.arange(height, device=points.device, dtype=torch.float32) * stride + stride // 2
    xs = torch.arange(width, device=points.device, dtype=torch.float32) * stride + stride // 2
    pixels = torch.stack(torch.meshgrid(xs, ys, indexing="xy")).reshape(1, 2, -1)
    return (points[:, :, None] - pixels) / sizes[:, None, None]


def dynamic_masks(
    features: Tensor,
    image_index: Tensor,
    parameters: Tensor,
    points: Tensor,
    sizes: Tensor,
    stride: int,
) -> Tensor:
    """Mask logits of N instances at twice the resolution of the mask features.

    Args:
        features: (B, C, h, w) mask features at `stride`.
        image_index: (N,) the image of each instance.
        parameters: (N, P) its head's parameters.
        points: (N, 2) its location, x, y in input pixels.
        sizes: (N,) size of interest of its level, pixels.

    Returns:
        (N, 2h, 2w). Authors: "aligned" bilinear upsampling, which moves the map by half a pixel
        of the result; here half-pixel centres, so that a logit sits where its target is sampled.
    """
    _, channels, height, width = features.shape
    if len(parameters) == 0:
        return features.new_zeros(0, 2 * height, 2 * width)
    coordinates = relative_coordinates(points, sizes, height, width, stride)
    x = torch.cat([coordinates.to(features.dtype), features.flatten(2)[image_index]], dim=1)
    layers = split_parameters(parameters, channels)
    for weight, bias in layers[:-1]:
        x = torch.baddbmm(bias, weight, x).relu_()
    weight, bias = layers[-1]
    logits = torch.baddbmm(bias, weight, x).reshape(-1, 1, height, width)
    upsampled = functional.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)
    return upsampled[:, 0]
