"""N things in one image that share dimension 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class TensorTable:
    """Base of frozen dataclasses whose tensor fields all share dimension 0."""

    def __getitem__(self, index: Tensor | slice) -> Self:
        """Select rows of every field with a bool mask, integer indices or a slice."""
        return self._each(lambda value: value[index])

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        return self._each(lambda value: value.to(device, non_blocking=non_blocking))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        present = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: change(v) for k, v in present.items() if v is not None})


@dataclass(frozen=True)
class Targets(TensorTable):
    """What a network should find in one image (of height H, width W)."""

    boxes: Tensor
    """(N, 4) XYXY pixels."""
    labels: Tensor
    """(N,) int64 in 0..K-1."""
    masks: Tensor | None = None
    """(N, H, W) bool."""
    pixel_weight: Tensor | None = None
    """(N, H, W) in [0, 1]; None = 1 everywhere."""
    instance_weight: Tensor | None = None
    """(N,) >= 0; None = 1."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Predictions(TensorTable):
    """What a network found in one image, best score first, before any filter."""

    boxes: Tensor
    """(N, 4) XYXY pixels of the network's input."""
    scores: Tensor
    """(N,) the host's own ranking score in [0, 1]: what AP is computed with."""
    labels: Tensor
    """(N,) argmax class."""
    class_quality: Tensor
    """(N,) confidence in that class, in [0, 1]."""
    class_logits: Tensor
    """(N, K) logits of the foreground classes."""
    mask_logits: Tensor
    """(N, H, W) at the network's input resolution."""

    def __len__(self) -> int:
        return len(self.labels)
