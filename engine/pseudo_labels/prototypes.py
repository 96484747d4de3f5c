"""What the pixels of a class look like: several directions per class (SIM Sec. 3.2.1).

Features are D numbers per pixel. Only their direction counts, so features and prototypes are unit
vectors, and how alike two are is their cosine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine import ranks
from engine.pseudo_labels.sinkhorn import assigned, sinkhorn


class ClassPixels(NamedTuple):
    """What one image shows of the classes of its N objects."""

    features: Tensor
    """(D, h, w) unit vectors."""
    masks: Tensor
    """(N, h, w) bool: pixels that belong to each object."""
    labels: Tensor
    """(N,)"""


class Pace(NamedTuple):
    """How prototypes move."""

    smoothness: float
    """Of the assignment, see `sinkhorn`."""
    steps: int
    momentum: float
    """What a prototype keeps of itself in a move."""
    first_replaces: bool
    """One moved n times keeps n / (n + 1) at most."""
    drawn: bool
    """Pixels are assigned by a draw."""


@dataclass
class Prototypes:
    """L directions for each of K classes. They go into the checkpoint."""

    directions: Tensor = field(default_factory=lambda: torch.zeros(0, 0, 0))
    """(K, L, D) unit vectors; empty until `start`."""
    moves: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.int64))
    """(K, L) how often each has moved."""

    def start(self, num_classes: int, each: int, size: int, device: torch.device) -> None:
        """Random directions that never moved, unless there are some of that shape already."""
        if self.directions.shape != (num_classes, each, size):
            random = nn.init.trunc_normal_(torch.empty(num_classes, each, size), std=0.02)
            self.directions = functional.normalize(random, dim=2)
            self.moves = torch.zeros(num_classes, each, dtype=torch.int64)
        self.directions, self.moves = self.directions.to(device), self.moves.to(device)

    def known(self, labels: Tensor, min_moves: int) -> Tensor:
        """Whether a prototype of each class moved that often, and at all. (N,) -> (N,) bool"""
        return self.moves[labels].amax(dim=1) >= max(1, min_moves)

    def maps(self, features: Tensor, labels: Tensor, temperature: float | None) -> Tensor:
        """Eq. 1 for the class of each object: (D, h, w), (N,) -> (N, h, w) in [0, 1].

        Prototypes that never moved have no say, unless none of the class did.
        """
        classes, which = labels.unique(return_inverse=True)
        moved = self.moves[classes] > 0
        silent = ~moved & moved.any(dim=1, keepdim=True)
        return semantic_map(features, self.directions[classes], silent, temperature)[which]

    def learn(self, images: Sequence[ClassPixels], pace: Pace) -> None:
        """Move along with what the images of a batch show, one after the other, on all ranks."""
        before = self.moves.clone()
        for image in images:
            for label in image.labels.unique().tolist():
                shown = image.masks[image.labels == label].any(dim=0)
                self._move(label, image.features[:, shown].T, pace)
        self._agree(before)

    def state_dict(self) -> dict[str, Tensor]:
        return {"directions": self.directions, "moves": self.moves}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.directions, self.moves = state["directions"], state["moves"]

    def _move(self, label: int, pixels: Tensor, pace: Pace) -> None:
        """Eqs. 2 to 5 for one class and the (P, D) features of its pixels in one image."""
        if len(pixels) == 0:
            return
        old, moves = self.directions[label], self.moves[label]
        shares = sinkhorn(cosines(pixels, old), pace.smoothness, pace.steps)
        centroids, counts = cluster(pixels, assigned(shares, drawn=pace.drawn), len(old))
        keep = kept_share(moves, pace.momentum, first_replaces=pace.first_replaces)
        self.directions[label] = moved_toward(old, centroids, counts, keep)
        self.moves[label] = moves + (counts > 0)

    def _agree(self, before: Tensor) -> None:
        """The mean over the ranks on which a prototype moved; their moves add up.

        Authors: the mean over all. Here: a rank that saw nothing of a class says nothing of it.
        """
        if ranks.is_alone():
            return
        moves = self.moves - before
        voices = (moves > 0).to(self.directions.dtype)
        total = self.directions * voices[..., None]
        for summed in (moves, voices, total):
            ranks.sum_of_all(summed)
        agreed = functional.normalize(total, dim=2)
        self.directions = torch.where(voices[..., None] > 0, agreed, self.directions)
        self.moves = before + moves


def semantic_map(
    features: Tensor, prototypes: Tensor, silent: Tensor, temperature: float | None
) -> Tensor:
    """Eq. 1: how probably each pixel is of each class, by its most alike prototype.

    Args:
        features: (D, h, w) unit vectors.
        prototypes: (G, L, D) unit vectors of G classes.
        silent: (G, L) bool, prototypes that do not count; never all of a class.
        temperature: cosines are divided by it; None = the authors' code, they are not.

    Returns:
        (G, h, w) float32 in (0, 1).
    """
    size, (groups, each, _) = features.shape[1:], prototypes.shape
    alike = cosines(prototypes.flatten(0, 1), features.flatten(1).T).reshape(groups, each, *size)
    best = alike.masked_fill(silent[:, :, None, None], -torch.inf).amax(dim=1)
    return (best / (temperature or 1.0)).sigmoid()


def cosines(first: Tensor, second: Tensor) -> Tensor:
    """Of unit vectors, never in low precision. (N, D), (M, D) -> (N, M)"""
    with torch.autocast(first.device.type, enabled=False):
        return first.float() @ second.float().T


def cluster(pixels: Tensor, prototype_of: Tensor, each: int) -> tuple[Tensor, Tensor]:
    """Eq. 5: the direction of the sum of each prototype's pixels; 0 without any.

    (P, D), (P,) in 0..L-1 -> (L, D), and (L,) how many there are.
    """
    total = pixels.new_zeros(each, pixels.shape[1]).index_add(0, prototype_of, pixels)
    counts = torch.bincount(prototype_of, minlength=each)
    return functional.normalize(total, dim=1), counts


def kept_share(moves: Tensor, momentum: float, *, first_replaces: bool) -> Tensor:
    """What prototypes keep of themselves in their next move. (L,) int64 -> (L,)"""
    if not first_replaces:
        return torch.full(moves.shape, momentum, device=moves.device)
    return (moves / (moves + 1)).clamp(max=momentum)


def moved_toward(old: Tensor, centroids: Tensor, counts: Tensor, keep: Tensor) -> Tensor:
    """Eq. 4: gamma p + (1 - gamma) centroid, as unit vectors; without a pixel nothing moves.

    Authors: normalised over the prototypes of a class. Here: over the D numbers of each.

    Args:
        old, centroids: (L, D).
        counts: (L,) pixels of each.
        keep: (L,) gamma.
    """
    new = keep[:, None] * old + (1 - keep[:, None]) * centroids
    return torch.where(counts[:, None] > 0, functional.normalize(new, dim=1), old)


def unit_features(features: Tensor, height: int, width: int) -> Tensor:
    """Features at the cells of masks, of length 1. (B, D, h', w') -> (B, D, height, width)"""
    features = features.float()
    if features.shape[2:] != (height, width):
        features = functional.interpolate(
            features, size=(height, width), mode="bilinear", align_corners=False
        )
    return functional.normalize(features, dim=1)
