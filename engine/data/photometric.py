"""The strong view: colour jitter, greyscale, blur and erasing, on the device, on batches.

What happens to an image is drawn on the host (`draw_perturbation`) and applied to tensors wherever
they live (`perturb`), so nothing waits for the device. Only the part of a view that shows the image
is touched: padding stays 0 and has no say in the mean that contrast turns about.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from engine.interfaces import ViewGeometry
from lab.config import StrongViewConfig

INVISIBLE_BLUR = 0.28
"""Pixels: below this sigma, both neighbours together weigh less than one of 255 grey levels."""
ERASING_TRIES = 10


@dataclass(frozen=True)
class Erasing:
    """One pass of random erasing: its probability, share of the area, and height over width."""

    probability: float
    scale: tuple[float, float]
    ratio: tuple[float, float]


# PL-DC prints ratios up to 0.6 and 0.8 in the last two passes; its code has 6 and 8, as here.
ERASING_PASSES = (
    Erasing(0.7, (0.05, 0.2), (0.3, 3.3)),
    Erasing(0.5, (0.02, 0.2), (0.1, 6.0)),
    Erasing(0.3, (0.02, 0.2), (0.05, 8.0)),
)


class Colour(Enum):
    """A colour change; its amount is a factor, for hue a share of the colour circle."""

    BRIGHTNESS = "brightness"
    CONTRAST = "contrast"
    SATURATION = "saturation"
    HUE = "hue"


@dataclass(frozen=True)
class Patch:
    """A rectangle of a view, pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Perturbation:
    """What the strong view does to one image, in this order."""

    jitter: tuple[tuple[Colour, float], ...] = ()
    grayscale: bool = False
    blur_sigma: float = 0.0
    """Pixels; 0 = no blur."""
    erased: tuple[Patch, ...] = ()


def strong_view(
    weak: Tensor,
    geometry: Sequence[ViewGeometry],
    config: StrongViewConfig,
    rngs: Sequence[np.random.Generator],
) -> Tensor:
    """Perturb each image of a batch by its own draws.

    Args:
        weak: (B, 3, H, W) in [0, 1], padding 0; not changed.
        geometry: B views; H is the crop size that scales the blur.
        rngs: B; each decides everything about its image. The noise of erased patches too, but that
            differs between devices.

    Returns:
        (B, 3, H, W) in [0, 1] on the same device, padding 0.
    """
    strong = weak.clone()
    blur_scale = weak.shape[-1] / config.reference_size
    noise = torch.Generator(device=weak.device)
    for image, view, rng in zip(strong, geometry, rngs, strict=True):
        noise.manual_seed(int(rng.integers(2**63)))
        drawn = draw_perturbation(view.height, view.width, config, blur_scale, rng)
        perturb(image[:, : view.height, : view.width], drawn, noise)
    return strong


def draw_perturbation(
    height: int,
    width: int,
    config: StrongViewConfig,
    blur_scale: float,
    rng: np.random.Generator,
) -> Perturbation:
    """Draw what happens to a height x width view; `blur_scale` multiplies the blur's sigma."""
    jitter = _draw_jitter(config, rng) if rng.random() < config.jitter_probability else ()
    grayscale = bool(rng.random() < config.grayscale_probability)
    blurred = rng.random() < config.blur_probability
    sigma = rng.uniform(*config.blur_sigma) * blur_scale if blurred else 0.0
    passes = ERASING_PASSES if config.erasing else ()
    patches = (draw_patch(height, width, erasing, rng) for erasing in passes)
    return Perturbation(jitter, grayscale, sigma, tuple(patch for patch in patches if patch))


def draw_patch(height: int, width: int, erasing: Erasing, rng: np.random.Generator) -> Patch | None:
    """A rectangle strictly smaller than the view; None if the pass does not happen or fit."""
    if rng.random() >= erasing.probability:
        return None
    low, high = math.log(erasing.ratio[0]), math.log(erasing.ratio[1])
    for _ in range(ERASING_TRIES):
        area = height * width * rng.uniform(*erasing.scale)
        ratio = math.exp(rng.uniform(low, high))
        rows, columns = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < rows < height and 0 < columns < width:
            top = int(rng.integers(height - rows + 1))
            left = int(rng.integers(width - columns + 1))
            return Patch(top, left, rows, columns)
    return None


def perturb(image: Tensor, drawn: Perturbation, noise: torch.Generator) -> None:
    """Change a (3, h, w) image in [0, 1] in place.

    Authors: erased patches get normal noise, cast to bytes with wrap-around, which is nearly
    uniform; here it is uniform.
    """
    changed = image
    for colour, amount in drawn.jitter:
        changed = _adjust(changed, colour, amount)
    if drawn.grayscale:
        changed = tv.rgb_to_grayscale(changed, num_output_channels=3)
    changed = blur(changed, drawn.blur_sigma)
    if changed is not image:
        image.copy_(changed)
    for patch in drawn.erased:
        rows = slice(patch.top, patch.top + patch.height)
        columns = slice(patch.left, patch.left + patch.width)
        image[:, rows, columns].uniform_(generator=noise)


def blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of a (3, h, w) image, one axis after the other, mirrored at the border.

    The kernel reaches three sigma, less where the image is smaller. Too small a sigma to be seen
    in 8 bits does nothing.
    """
    if sigma < INVISIBLE_BLUR:
        return image
    reach = math.ceil(3 * sigma)
    size_y, size_x = (2 * min(reach, side - 1) + 1 for side in image.shape[-2:])
    across = tv.gaussian_blur(image, [size_x, 1], [sigma, sigma])
    return tv.gaussian_blur(across, [1, size_y], [sigma, sigma])


def shift_hue(image: Tensor, amount: float) -> Tensor:
    """Turn the colours of a (3, h, w) image by `amount` of the circle, in [-0.5, 0.5].

    The same as torchvision's adjust_hue, several times faster: no comparisons, no remainders.
    Hue runs from 0 to 6. A channel is full for two sixths of the circle, empty for two, and linear
    between, so with t = (hue + phase) mod 6 it lacks clamp(2 - |t - 2|, 0, 1) of the chroma.
    """
    red, green, blue = image
    brightest = image.amax(dim=0)
    chroma = brightest - image.amin(dim=0)
    is_red, is_green, _ = (image - brightest).sign_().add_(1)
    is_green = is_green * (1 - is_red)
    is_blue = 1 - is_red - is_green
    rise = is_red * (green - blue) + is_green * (blue - red) + is_blue * (red - green)
    hue = rise / chroma.clamp(min=1e-12) + 2 * is_green + 4 * is_blue
    turned = torch.stack([hue + (6 + 6 * amount + phase) for phase in (5, 3, 1)])
    turned = turned.div_(6).frac_().mul_(6)
    lacking = turned.sub_(2).abs_().neg_().add_(2).clamp_(0, 1)
    return brightest - chroma * lacking


def _draw_jitter(
    config: StrongViewConfig, rng: np.random.Generator
) -> tuple[tuple[Colour, float], ...]:
    factors = {
        Colour.BRIGHTNESS: config.brightness,
        Colour.CONTRAST: config.contrast,
        Colour.SATURATION: config.saturation,
    }
    drawn = [
        (colour, rng.uniform(max(0.0, 1 - spread), 1 + spread))
        for colour, spread in factors.items()
    ]
    drawn.append((Colour.HUE, rng.uniform(-config.hue, config.hue)))
    return tuple(drawn[index] for index in rng.permutation(len(drawn)))


def _adjust(image: Tensor, colour: Colour, amount: float) -> Tensor:
    match colour:
        case Colour.BRIGHTNESS:
            return tv.adjust_brightness(image, amount)
        case Colour.CONTRAST:
            return tv.adjust_contrast(image, amount)
        case Colour.SATURATION:
            return tv.adjust_saturation(image, amount)
        case Colour.HUE:
            return shift_hue(image, amount)
