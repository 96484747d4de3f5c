"""Weakly-supervised copy-paste: objects of earlier images visit later ones (SIM Sec. 3.3).

A bank remembers the objects of the latest images, first in, first out. Those of a random one are
pasted where they stood in their own image. Every draw comes from torch's generator, so that
(seed, step) decide it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from engine.data.scenes import Cutout, Scene, cut_out, paste
from lab.config import PasteConfig

Record = tuple[Cutout, ...]
"""The objects of one image."""


@dataclass
class GuestBank:
    """Objects by image, oldest first. It goes into the checkpoint."""

    records: list[Record] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.records)

    def draw(self, config: PasteConfig) -> Record:
        """The objects of a random image, with the chance of a paste; else, or before the bank is
        full, none."""
        if not config.enabled or len(self.records) < config.bank_size:
            return ()
        chance, which = torch.rand(2).tolist()
        if chance >= config.probability:
            return ()
        return self.records[int(which * len(self.records))]

    def remember(self, images: Sequence[Record], size: int) -> None:
        """Add images, unless there is no object in one, and forget the oldest beyond `size`."""
        self.records = [*self.records, *(one for one in images if one)][-size:]

    def state_dict(self) -> dict[str, Any]:
        return {"records": [[vars(guest) for guest in one] for one in self.records]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.records = [tuple(Cutout(**guest) for guest in one) for one in state["records"]]


def num_taken(present: int, config: PasteConfig) -> int:
    """How many of the objects of an image are taken along: a share, rounded down, within limits."""
    share = int(present * config.share + 1e-9)
    return min(present, max(config.min_objects, min(config.max_objects, share)))


def importance(scores: Tensor, power: float = 1.0) -> Tensor:
    """With what probability each object is drawn: in proportion to its score (raised to a power).

    All alike where every score is 0. (N,) in [0, 1] -> (N,), sums to 1.
    """
    raised = scores.double().pow(power)
    total = raised.sum()
    alike = torch.full_like(raised, 1 / max(1, len(raised)))
    return torch.where(total > 0, raised / total.where(total > 0, 1), alike).to(scores.dtype)


def select_guests(scene: Scene, threshold: float, config: PasteConfig) -> Record:
    """Some objects of a scene, drawn by their quality and cut out where p > threshold.

    They are drawn when they are remembered. The authors remember whole images and draw later:
    the odds are the same, and images are large.
    """
    able = (scene.quality > 0).nonzero()[:, 0]
    number = num_taken(len(able), config)
    if not config.enabled or number == 0:
        return ()
    odds = importance(scene.quality[able], config.importance_power).cpu()
    picked = torch.multinomial(odds, number, replacement=config.repeated)
    rows = able.cpu()[picked].unique().tolist()
    return tuple(one for one in cut_out(scene, rows, threshold) if one.mask.any())


def receive(scene: Scene, guests: Record) -> Scene:
    """The scene with guests in front, where they stood in their own image, in their order.

    What they hide completely is gone. One beyond the edge of the image stays away.
    """
    for guest in guests:
        scene = (
            paste(scene, guest, guest.left, guest.top, min_pixels=0, max_moved=float("inf"))
            or scene
        )
    return scene
