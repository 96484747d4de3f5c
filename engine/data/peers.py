"""Peer-assisted copy-paste: objects with good masks help others of their class (BoxSeg Sec. 3.4).

A bank remembers the objects of some images; one of them is pasted so that its box overlaps that of
a learner. Every draw comes from torch's generator, so that (seed, step) decide it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_iou

from engine.data.scenes import Cutout, Scene, cut_out, paste
from lab.config import PeerConfig

Record = tuple[Cutout, ...]
"""The peers of one image."""
Key = tuple[int, ...]
"""Their labels, in order: one record per key."""


@dataclass
class PeerBank:
    """Peers by their labels, oldest first. It goes into the checkpoint."""

    records: dict[Key, Record] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.records)

    def draw(self, labels: Sequence[int]) -> Key | None:
        """A random record that shares a class with these; None when there is none."""
        keys = list(self.records)
        wanted = set(labels)
        shuffled = (keys[i] for i in torch.randperm(len(keys)).tolist())
        return next((key for key in shuffled if wanted & set(key)), None)

    def remember(self, peers: Record, size: int) -> None:
        """Add the peers of an image, unless the same labels are here already.

        With more than `size` records a random one is forgotten, perhaps the new one.
        """
        key = tuple(peer.label for peer in peers)
        if not peers or key in self.records:
            return
        self.records[key] = peers
        if len(self.records) > size:
            unlucky = int(torch.randint(len(self.records), ()))
            del self.records[list(self.records)[unlucky]]

    def forget(self, key: Key) -> None:
        self.records.pop(key, None)

    def state_dict(self) -> dict[str, Any]:
        return {"records": [[vars(peer) for peer in one] for one in self.records.values()]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        records = [tuple(Cutout(**peer) for peer in one) for one in state["records"]]
        self.records = {tuple(peer.label for peer in one): one for one in records}


def paste_probability(step: int, final: float, decline_steps: int) -> float:
    """1 at first, then falling linearly to `final`."""
    done = min(1.0, step / decline_steps) if decline_steps else 1.0
    return 1 - (1 - final) * done


def tutors(scene: Scene, box_scores: Tensor, config: PeerConfig) -> Tensor:
    """Which objects of a scene may teach: alone, with a good mask, a good box, and large.

    Args:
        box_scores: (N,) mean scores of the boxes that made the masks.

    Returns:
        (N,) bool.
    """
    ious = box_iou(scene.boxes, scene.boxes).nan_to_num(0).fill_diagonal_(0)
    alone = (ious < config.max_box_iou).all(dim=1)
    pixels = (scene.masks > 0.5).sum(dim=(1, 2)) * scene.stride**2
    good = (scene.quality > config.min_quality) & (box_scores > config.min_box_score)
    return alone & good & (pixels > config.min_pixels)


def select_tutors(scene: Scene, box_scores: Tensor, config: PeerConfig) -> Record:
    """The objects of a scene that may teach, cut out."""
    rows = tutors(scene, box_scores, config).nonzero()[:, 0].tolist()
    cut = cut_out(scene, rows)
    return tuple(one for one in cut if one.mask.any())


def teach_learner(scene: Scene, record: Record, config: PeerConfig) -> Scene | None:
    """The scene with a peer pasted over a learner of its class; None when too little of it fits."""
    peer = pick_peer(record, scene.labels.tolist(), config.select)
    learner = pick_learner(scene, peer.label, config.learner)
    height, width = peer.mask.shape
    draws = torch.rand(2).tolist()
    if config.place == "overlapping":
        box = scene.boxes[learner].tolist()
        left = overlapping_start(box[0], box[2], width, config.min_overlap, draws[0])
        top = overlapping_start(box[1], box[3], height, config.min_overlap, draws[1])
    else:
        left = draws[0] * max(0, scene.size[1] - width)
        top = draws[1] * max(0, scene.size[0] - height)
    return paste(
        scene,
        peer,
        round(left),
        round(top),
        min_pixels=config.min_pixels,
        max_moved=config.max_moved,
    )


def pick_peer(record: Record, labels: Sequence[int], select: str) -> Cutout:
    """A peer whose class is among the labels: the best mask ("best", the first of several), or any.

    The record must hold one.
    """
    shared = [peer for peer in record if peer.label in set(labels)]
    if select == "random":
        return shared[int(torch.randint(len(shared), ()))]
    return max(shared, key=lambda peer: peer.quality)


def pick_learner(scene: Scene, label: int, rule: str) -> int:
    """An object of that class: the poorest mask ("lowest_quality", the first of several), or any.

    The scene must hold one.
    """
    rows = (scene.labels == label).nonzero()[:, 0]
    if rule == "random":
        return int(rows[int(torch.randint(len(rows), ()))])
    return int(rows[scene.quality[rows].argmin()])


def overlapping_start(low: float, high: float, length: float, share: float, draw: float) -> float:
    """Where something of a length begins so that it overlaps [low, high], along one axis.

    By `share` of the length, or wholly where the interval is shorter than that.

    Args:
        draw: in [0, 1], from the first such place to the last.
    """
    first, last = low - (1 - share) * length, high - share * length
    return first + draw * (last - first)
