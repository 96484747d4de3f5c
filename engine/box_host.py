"""What a method that learns masks from boxes may ask of a network.

The student teaches itself boxes and classes, and hands out mask logits of the instances it drew:
`teach_boxes`. What those masks should look like is the method's business, and so is its loss. The
teacher is asked what it sees: `propose`, best or everything, with masks drawn only where wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from engine.instances import Targets, TensorTable
from engine.interfaces import Segmenter


@dataclass(frozen=True)
class MaskSamples(TensorTable):
    """S instances of a batch whose masks a method may teach; several may be of one target."""

    logits: Tensor
    """(S, h, w) float32, `mask_stride` pixels per cell."""
    images: Tensor
    """(S,) which image of the batch."""
    targets: Tensor
    """(S,) which target, counting through the targets of the whole batch."""
    depth_logits: Tensor | None = None
    """(S, h, w) of a host with a depth layer."""

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Taught:
    """What boxes and classes teach a host, and what it drew for the method to judge."""

    losses: dict[str, Tensor]
    """Named scalars, already weighted against each other: all but the mask's."""
    samples: MaskSamples
    features: Tensor
    """(B, C, h / 2, w / 2) what the masks are made of; with gradient."""
    layers: int = 1
    """How many supervised layers the samples come from: a mean over samples is multiplied by
    it, where a paper sums over layers."""


@dataclass(frozen=True)
class Proposals(TensorTable):
    """What a network sees in one image before anything is decided; no gradient."""

    boxes: Tensor
    """(M, 4) XYXY pixels of the input."""
    scores: Tensor
    """(M,) the host's ranking score."""
    labels: Tensor
    """(M,) class."""
    class_quality: Tensor
    """(M,) probability of that class."""
    class_logits: Tensor
    """(M, K) of the foreground classes."""
    places: Tensor
    """(M,) where it comes from: a location of all levels, or a query."""
    levels: Tensor
    """(M,) which level of the pyramid, finest first; 0 for queries."""
    owners: Tensor
    """(M,) which target of the image that place would have to find in training; -1 = none."""

    def __len__(self) -> int:
        return len(self.labels)


Draw = Callable[[Tensor, Tensor], Tensor]
"""(N,) image, (N,) place -> (N, h, w) mask logits."""


@dataclass(frozen=True)
class Proposed:
    """Proposals of B images. Masks are drawn when asked for: there may be thousands."""

    images: list[Proposals]
    features: Tensor
    """(B, C, h / 2, w / 2) what the masks are made of."""
    draw: Draw

    @torch.no_grad()
    def mask_logits(self, rows: Sequence[Tensor]) -> list[Tensor]:
        """Masks of some proposals of each image: B times (R_b,) indices -> B times (R_b, h, w)."""
        places = [p.places[r] for p, r in zip(self.images, rows, strict=True)]
        image_of = [torch.full_like(one, b) for b, one in enumerate(places)]
        drawn = self.draw(torch.cat(image_of), torch.cat(places))
        return list(drawn.split([len(one) for one in places]))


class Wanted(Enum):
    """Which proposals."""

    BEST = "best"
    """After non-maximum suppression, best score first: what `predict` would say."""
    ALL = "all"
    """Everything above the score floor, up to 1000 per level, nothing suppressed."""
    ASSIGNED = "assigned"
    """The places that training would give to the targets, under the classes of these."""


@runtime_checkable
class BoxHost(Segmenter, Protocol):
    """A host whose mask loss a method may replace."""

    @property
    def mask_stride(self) -> int:
        """Input pixels per cell of the mask logits that `teach_boxes` and `propose` give."""
        ...

    def teach_boxes(self, images: Tensor, targets: Sequence[Targets]) -> Taught:
        """Losses of boxes and classes, and instances to teach masks to. Looks at no mask."""
        ...

    def propose(
        self, images: Tensor, targets: Sequence[Targets], wanted: Wanted = Wanted.BEST
    ) -> Proposed:
        """What the network sees. No gradient; it should be in evaluation mode."""
        ...
