"""sRGB to CIELAB in torch: how different two colours look to a person, on any device."""

from __future__ import annotations

import torch
from torch import Tensor

RGB_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
"""Linear sRGB to CIE XYZ (ITU-R BT.709 primaries)."""
WHITE = (0.95047, 1.0, 1.08883)
"""XYZ of the D65 white, 2 degree observer."""


def rgb_to_lab(images: Tensor) -> Tensor:
    """CIELAB under D65 of sRGB images.

    Args:
        images: (..., 3, H, W) in [0, 1], red first.

    Returns:
        (..., 3, H, W) float32: L in [0, 100], a and b in about [-110, 110].
    """
    images = images.float()
    linear = torch.where(
        images > 0.04045, ((images.clamp(min=0) + 0.055) / 1.055).pow(2.4), images / 12.92
    )
    matrix = images.new_tensor(RGB_TO_XYZ) / images.new_tensor(WHITE)[:, None]
    # Written out, because a matrix product may run in lower precision under autocast or TF32.
    red, green, blue = linear.unbind(dim=-3)
    x, y, z = (_compressed(red * row[0] + green * row[1] + blue * row[2]) for row in matrix)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-3)


def _compressed(ratio: Tensor) -> Tensor:
    """Cube root, continued by a line below (6/29)^3."""
    root = ratio.clamp(min=0.008856).pow(1 / 3)
    return torch.where(ratio > 0.008856, root, 7.787 * ratio + 16 / 116)
