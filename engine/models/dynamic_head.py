"""The mask head of CondInst: a tiny network whose weights are written for each instance.

Three 1x1 convolutions of 8 channels with ReLU between, over the mask features and two coordinates
relative to the instance's location (arXiv:2003.05664, Sec. 3.3): 169 parameters for 8 feature
channels, 233 for 16. With a depth layer (DG-MaskHead of pseudo-depth) the last hidden layer is read
twice, 9 parameters more: 178 and 242. All instances run together as batched matrix products.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

CHANNELS = 8


READOUT = CHANNELS + 1
"""Weights and bias of a layer that makes one map of the hidden ones."""


def parameter_count(feature_channels: int, *, depth_layer: bool = False) -> int:
    """Weights and biases of the three layers, and of the depth layer."""
    first = (feature_channels + 2) * CHANNELS + CHANNELS
    readouts = READOUT * (2 if depth_layer else 1)
    return first + CHANNELS * CHANNELS + CHANNELS + readouts


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
    height, width = features.shape[2:]
    if len(parameters) == 0:
        return _nothing(features, parameters)
    layers = split_parameters(parameters, features.shape[1])
    hidden = _hidden(features, image_index, layers[:-1], points, sizes, stride)
    weight, bias = layers[-1]
    return _doubled(torch.baddbmm(bias, weight, hidden).reshape(-1, height, width))


def depth_guided_masks(
    features: Tensor,
    image_index: Tensor,
    parameters: Tensor,
    points: Tensor,
    sizes: Tensor,
    stride: int,
) -> tuple[Tensor, Tensor]:
    """Mask logits times the probability of a depth layer, and the depth logits; as `dynamic_masks`.

    The depth layer reads the same hidden maps; its weights and bias are the last nine parameters.
    A probability lies in (0, 1), so a logit is damped and never changes its sign.

    Returns:
        (N, 2h, 2w) mask logits and (N, 2h, 2w) depth logits.
    """
    height, width = features.shape[2:]
    if len(parameters) == 0:
        return _nothing(features, parameters), _nothing(features, parameters)
    layers = split_parameters(parameters[:, :-READOUT], features.shape[1])
    hidden = _hidden(features, image_index, layers[:-1], points, sizes, stride)
    weight, bias = layers[-1]
    mask = torch.baddbmm(bias, weight, hidden)
    depth_weight, depth_bias = parameters[:, -READOUT:, None].split([CHANNELS, 1], dim=1)
    depth = torch.baddbmm(depth_bias, depth_weight.transpose(1, 2), hidden)
    guided = (mask * depth.sigmoid()).reshape(-1, height, width)
    return _doubled(guided), _doubled(depth.reshape(-1, height, width))


def _nothing(features: Tensor, parameters: Tensor) -> Tensor:
    """(0, 2h, 2w): no map, but on the graph, so that a batch without objects has a gradient."""
    height, width = features.shape[2:]
    empty = features.new_zeros(0, 2 * height, 2 * width)
    return empty + 0 * (features.sum() + parameters.sum())


def _hidden(
    features: Tensor,
    image_index: Tensor,
    layers: list[tuple[Tensor, Tensor]],
    points: Tensor,
    sizes: Tensor,
    stride: int,
) -> Tensor:
    """What the layers make of coordinates and features. -> (N, 8, h * w)"""
    height, width = features.shape[2:]
    coordinates = relative_coordinates(points, sizes, height, width, stride)
    x = torch.cat([coordinates.to(features.dtype), features.flatten(2)[image_index]], dim=1)
    for weight, bias in layers:
        x = torch.baddbmm(bias, weight, x).relu_()
    return x


def _doubled(maps: Tensor) -> Tensor:
    """Twice the resolution. (N, h, w) -> (N, 2h, 2w)"""
    return functional.interpolate(
        maps[:, None], scale_factor=2, mode="bilinear", align_corners=False
    )[:, 0]
