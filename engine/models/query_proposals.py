"""What queries propose: a class, and the box and the score of the mask they drew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import torch
from torch import Tensor
from torch.nn import functional

from engine.box_host import Proposals, Wanted
from engine.instances import TensorTable
from engine.losses.box_mask import box_of_shadows
from engine.losses.box_matching import mask_shadows
from engine.pseudo_labels.quality import mask_quality

MOST = 1000
"""Most proposals of an image when all are wanted: as many as a level of FCOS gives."""


@dataclass(frozen=True)
class Queries(TensorTable):
    """What the Q queries of one image say, and whom they would have to find in training."""

    class_logits: Tensor
    """(Q, K) of the foreground classes."""
    probs: Tensor
    """(Q, K) class probabilities, "no object" in the denominator."""
    boxes: Tensor
    """(Q, 4) XYXY pixels, around the mask; no area where it is empty."""
    mask_quality: Tensor
    """(Q,) mean probability of the mask's cells."""
    owners: Tensor
    """(Q,) target of the image, -1 = none."""

    def __len__(self) -> int:
        return len(self.owners)

    def propose(self, wanted: Wanted, labels: Tensor, floor: float, most: int) -> Proposals:
        """The (query, class) pairs that are wanted.

        Args:
            wanted: BEST = the `most` most probable pairs, highest score first; ALL = those more
                probable than `floor`, 1000 at most, highest score first; ASSIGNED = the query of
                each target under its class, target by target.
            labels: (N,) of the targets.
        """
        match wanted:
            case Wanted.BEST:
                return _by_score(self.pairs(*probable_pairs(self.probs, most)))
            case Wanted.ALL:
                queries, classes = probable_pairs(self.probs, MOST)
                above = self.probs[queries, classes] > floor
                return _by_score(self.pairs(queries[above], classes[above]))
            case Wanted.ASSIGNED:
                queries = (self.owners >= 0).nonzero()[:, 0]
                queries = queries[self.owners[queries].argsort()]
                return self.pairs(queries, labels[self.owners[queries]])
        assert_never(wanted)

    def pairs(self, queries: Tensor, labels: Tensor) -> Proposals:
        """Proposals of some queries under the given classes. (M,), (M,)"""
        said = self[queries]
        quality = said.probs.gather(1, labels[:, None])[:, 0]
        return Proposals(
            boxes=said.boxes,
            scores=quality * said.mask_quality,
            labels=labels,
            class_quality=quality,
            class_logits=said.class_logits,
            places=queries,
            levels=torch.zeros_like(queries),
            owners=said.owners,
        )


def read_queries(
    class_logits: Tensor, mask_logits: Tensor, owners: Tensor, stride: int
) -> list[Queries]:
    """What the queries of B images say.

    Args:
        class_logits: (B, Q, K + 1), "no object" last.
        mask_logits: (B, Q, h, w) float32.
        owners: (B, Q).
        stride: pixels per cell of the mask logits.
    """
    count = class_logits.shape[:2]
    tables = zip(
        class_logits[..., :-1],
        class_logits.softmax(dim=2)[..., :-1],
        shadow_boxes(mask_logits, stride).view(*count, 4),
        mask_quality(mask_logits.flatten(0, 1)).view(count),
        owners,
        strict=True,
    )
    return [Queries(*one) for one in tables]


def probable_pairs(probs: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The most probable (query, class) pairs, best first. (Q, K) -> (M,) query, (M,) class"""
    best = probs.flatten().topk(min(most, probs.numel())).indices
    return best // probs.shape[1], best % probs.shape[1]


def shadow_boxes(mask_logits: Tensor, stride: int) -> Tensor:
    """The boxes of masks, to the pixel, without enlarging a mask: its two shadows are enlarged.

    A shadow enlarged linearly covers that of the mask enlarged bilinearly. It ends where the cells
    do, to half a cell; the mask ends earlier where its last cells are weak and alone.

    Args:
        mask_logits: (B, Q, h, w); cells above 0 are the mask.
        stride: pixels per cell.

    Returns:
        (B * Q, 4) XYXY pixels; no area for an empty mask.
    """
    cast = mask_shadows(mask_logits)
    columns, rows = (
        functional.interpolate(lines.float(), scale_factor=stride, mode="linear").flatten(0, 1) > 0
        for lines in (cast.columns, cast.rows)
    )
    return box_of_shadows(columns, rows)


def _by_score(found: Proposals) -> Proposals:
    return found[found.scores.argsort(descending=True, stable=True)]
