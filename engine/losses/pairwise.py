"""Neighbouring cells that look alike should be of one object: BoxInst's pairwise term.

An edge joins a cell a and a neighbour b, `dilation` cells away along a row, a column or a
diagonal. It costs -log P(same label) with P = p_a p_b + (1 - p_a)(1 - p_b). Edges are directed:
one that leaves a counts when a is inside the box, so an edge inside the box counts twice. Both
directions share their cost, so every pair is computed once, and edges that leave the image do not
exist at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from engine import ranks
from engine.losses.colour import rgb_to_lab


class Offset(NamedTuple):
    """Where the second cell of a pair lies, seen from the first. dy >= 0."""

    dy: int
    dx: int


def neighbour_offsets(dilation: int) -> tuple[Offset, ...]:
    """Half of the eight neighbours; the other half are the same pairs seen from the other end."""
    d = dilation
    return (Offset(0, d), Offset(d, -d), Offset(d, 0), Offset(d, d))


def ends(maps: Tensor, offset: Offset) -> tuple[Tensor, Tensor]:
    """First and second cells of all pairs of a map. (..., H, W) -> two (..., H - dy, W - |dx|)."""
    height, width = maps.shape[-2:]
    rows, columns = max(0, height - offset.dy), max(0, width - abs(offset.dx))
    left, right = max(0, -offset.dx), max(0, offset.dx)
    first = maps[..., :rows, left : left + columns]
    second = maps[..., height - rows :, right : right + columns]
    return first, second


@dataclass(frozen=True)
class Affinity:
    """Which neighbouring cells belong together in each of N maps, in {0, 1} or any weight >= 0."""

    offsets: tuple[Offset, ...]
    forth: tuple[Tensor, ...]
    """Per offset (N, H - dy, W - |dx|): weight of the edge from the first cell to the second."""
    back: tuple[Tensor, ...]
    """... and of the edge from the second to the first."""


Alike = Callable[[Offset], Tensor]
"""offset -> (N, H - dy, W - |dx|) whether the two ends of each pair are alike."""


def build_affinity(alike: Alike, dilation: int, valid: Tensor | None = None) -> Affinity:
    """Edges between cells that are alike, where the cell an edge leads to is valid.

    Args:
        alike: what joins two cells: colour, a pseudo mask, depth, features.
        dilation: cells between neighbours.
        valid: (N, H, W) bool, False on padding; the cell an edge leaves need not be valid.
    """
    offsets = neighbour_offsets(dilation)
    forth, back = [], []
    for offset in offsets:
        joined = alike(offset).float()
        first, second = (None, None) if valid is None else ends(valid, offset)
        forth.append(joined if second is None else joined * second)
        back.append(joined if first is None else joined * first)
    return Affinity(offsets, tuple(forth), tuple(back))


def colour_similarity(lab: Tensor, offset: Offset) -> Tensor:
    """exp(-|Lab_a - Lab_b| / 2) of all pairs: 1 for one colour. (N, C, H, W) -> (N, H', W')."""
    first, second = ends(lab, offset)
    return torch.exp(-0.5 * (first - second).square().sum(dim=-3).sqrt())


@torch.no_grad()
def colour_affinity(
    images: Tensor, valid: Tensor, *, stride: int, threshold: float, dilation: int
) -> Affinity:
    """Edges between cells of one colour, BoxInst Sec. 3.2.

    The image is averaged over the cells of the mask logits. Authors: that average is truncated to
    8 bits before CIELAB. Here: it is not.

    Args:
        images: (B, 3, H, W) in [0, 1], as the eye would see them (not jittered).
        valid: (B, h, w) bool cells that show the image, see `shown_cells`.
        stride: pixels per cell, H / h.
        threshold: least similarity of an edge, in [0, 1]; inclusive.
        dilation: cells between neighbours.
    """
    lab = rgb_to_lab(functional.avg_pool2d(images.float(), stride))
    return build_affinity(
        lambda offset: colour_similarity(lab, offset) >= threshold, dilation, valid
    )


def edge_costs(
    logits: Tensor, inside: Tensor, affinity: Affinity, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Summed -log P(same label) over the edges of each mask, and how many edges that are.

    In logits, -log P = softplus(a) + softplus(b) - softplus(a + b): nothing can overflow, and
    four maps of softplus do for eight neighbours.

    Args:
        logits: (S, H, W) mask logits.
        inside: (S, H, W) bool or {0, 1}, where edges may start: the filled box.
        affinity: over N maps.
        rows: (S,) the map that each mask goes by.

    Returns:
        (S,) cost and (S,) number (or total weight) of edges.
    """
    logits, inside = logits.float(), inside.float()
    alone = functional.softplus(logits)
    cost, count = logits.new_zeros(len(logits)), logits.new_zeros(len(logits))
    for offset, forth, back in zip(affinity.offsets, affinity.forth, affinity.back, strict=True):
        starts, ends_ = ends(inside, offset)
        weight = torch.addcmul(forth[rows] * starts, back[rows], ends_)
        first, second = ends(logits, offset)
        both = torch.add(*ends(alone, offset)) - functional.softplus(first + second)
        cost = cost + (weight * both).sum(dim=(1, 2))
        count = count + weight.sum(dim=(1, 2))
    return cost, count


def pairwise_loss(logits: Tensor, inside: Tensor, affinity: Affinity, rows: Tensor) -> Tensor:
    """Mean cost over all edges of all masks; 0 without an edge, with its graph. -> ()"""
    cost, count = edge_costs(logits, inside, affinity, rows)
    return cost.sum() / ranks.normaliser(count.sum())


def shown_cells(
    sizes: Sequence[tuple[int, int]], height: int, width: int, stride: int, device: torch.device
) -> Tensor:
    """Cells whose sampled pixel lies in the first rows and columns of each view.

    Args:
        sizes: per view how many rows and columns of pixels count; the rest is padding (or the
            bottom of the image, see `trusted_size`).
        height, width: cells.

    Returns:
        (B, height, width) bool.
    """
    limits = torch.tensor(sizes, device=device).reshape(-1, 2)
    ys = torch.arange(height, device=device) * stride + stride // 2
    xs = torch.arange(width, device=device) * stride + stride // 2
    return (ys < limits[:, :1])[:, :, None] & (xs < limits[:, 1:])[:, None, :]
