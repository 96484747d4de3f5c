"""What the teacher sees of the student's images, perhaps at a size of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from engine.box_host import BoxHost, Proposals, Proposed, Wanted
from engine.interfaces import LabeledBatch, ViewGeometry

MULTIPLE = 32
"""The sides of a network's input are multiples of this."""


@torch.no_grad()
def ask_teacher(
    teacher: BoxHost,
    batch: LabeledBatch,
    wanted: Wanted = Wanted.BEST,
    *,
    short_side: int | None = None,
    max_side: int = 1333,
) -> Proposed:
    """What the teacher, in evaluation mode, proposes for the weak views, in the student's frame.

    With `short_side` it looks at views resized to that, at most `max_side` long; boxes and masks
    come back as if it had not. Authors: batch norm in training mode. Here: its averages.
    """
    if teacher.module.training:
        teacher.module.eval()
    if short_side is None:
        return teacher.propose(batch.weak, batch.targets, wanted)
    sizes = [fitted_size(view, short_side, max_side) for view in batch.geometry]
    images, scales = resized_views(batch.weak, batch.geometry, sizes)
    targets = [
        replace(target, boxes=target.boxes * scale.repeat(2), masks=None)
        for target, scale in zip(batch.targets, scales, strict=True)
    ]
    found = teacher.propose(images, targets, wanted)
    cells = (batch.weak.shape[2] // teacher.mask_stride, batch.weak.shape[3] // teacher.mask_stride)

    def draw(image_of: Tensor, places: Tensor) -> Tensor:
        return maps_back(found.draw(image_of, places), scales[image_of], cells)

    back = [_boxes_back(one, scale) for one, scale in zip(found.images, scales, strict=True)]
    return Proposed(back, found.features, draw)


def fitted_size(view: ViewGeometry, short_side: int, max_side: int) -> tuple[int, int]:
    """Height and width of a view's image with that short side, or that long one if it is less."""
    shorter, longer = sorted((view.height, view.width))
    scale = min(short_side / shorter, max_side / longer)
    return max(1, round(view.height * scale)), max(1, round(view.width * scale))


def resized_views(
    images: Tensor, geometry: Sequence[ViewGeometry], sizes: Sequence[tuple[int, int]]
) -> tuple[Tensor, Tensor]:
    """Each view's image at its new size, padded right and bottom to a common one.

    Args:
        images: (B, 3, H, W).
        sizes: per view the height and width that its image gets.

    Returns:
        (B, 3, H', W') with sides that are multiples of 32, and (B, 2) scales along x and y.
    """
    height = MULTIPLE * -(-max(size[0] for size in sizes) // MULTIPLE)
    width = MULTIPLE * -(-max(size[1] for size in sizes) // MULTIPLE)
    padded = images.new_zeros(len(images), images.shape[1], height, width)
    for slot, image, view, size in zip(padded, images, geometry, sizes, strict=True):
        shown = image[None, :, : view.height, : view.width]
        slot[:, : size[0], : size[1]] = functional.interpolate(
            shown, size=size, mode="bilinear", align_corners=False, antialias=True
        )[0]
    scales = [
        (size[1] / view.width, size[0] / view.height)
        for size, view in zip(sizes, geometry, strict=True)
    ]
    return padded, images.new_tensor(scales)


def maps_back(maps: Tensor, scales: Tensor, cells: tuple[int, int]) -> Tensor:
    """Maps of resized views, read where the cells of the old ones lie; the cells are as large.

    Args:
        maps: (N, h', w').
        scales: (N, 2) new size over old along x and y.
        cells: h, w of the result.

    Returns:
        (N, h, w), bilinear.
    """
    if len(maps) == 0:
        return maps.new_zeros(0, *cells)
    ys = torch.arange(cells[0], device=maps.device) + 0.5
    xs = torch.arange(cells[1], device=maps.device) + 0.5
    across = 2 * xs * scales[:, :1] / maps.shape[2] - 1
    down = 2 * ys * scales[:, 1:] / maps.shape[1] - 1
    grid = torch.stack(
        [
            across[:, None, :].expand(-1, *cells),
            down[:, :, None].expand(-1, *cells),
        ],
        dim=-1,
    )
    return functional.grid_sample(
        maps[:, None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )[:, 0]


def _boxes_back(found: Proposals, scale: Tensor) -> Proposals:
    return replace(found, boxes=found.boxes / scale.repeat(2))
