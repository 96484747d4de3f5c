"""A host that answers as told and remembers what it was taught, and small batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from engine.instances import Predictions, Targets
from engine.interfaces import Batch, LabeledBatch, UnlabeledBatch, ViewGeometry

SIDE = 8


@dataclass
class ScriptedHost:
    """One weight; its loss is 1 whatever it sees, and depends on that weight."""

    answers: list[Predictions] = field(default_factory=list)
    module: nn.Module = field(default_factory=lambda: nn.Linear(1, 1, bias=False))
    taught: list[tuple[Tensor, list[Targets]]] = field(default_factory=list)
    looked_at: list[Tensor] = field(default_factory=list)

    def losses(
        self,
        images: Tensor,
        targets: Sequence[Targets],
        doubtful: Sequence[Tensor] | None = None,
    ) -> dict[str, Tensor]:
        self.taught.append((images, list(targets)))
        (weight,) = self.module.parameters()
        return {"class": weight.sum() / weight.detach().sum()}

    def predict(self, images: Tensor, *, one_class_each: bool = False) -> list[Predictions]:
        assert one_class_each and not self.module.training and not torch.is_grad_enabled()
        self.looked_at.append(images)
        return self.answers


def predictions(scores: Sequence[tuple[float, float]], logits: Sequence[float]) -> Predictions:
    """Candidates of given (class quality, mask quality); 16-pixel masks; all the same logits."""
    count = len(scores)
    classes, masks = torch.tensor(scores).reshape(count, 2).unbind(1)
    mask_logits = torch.full((count, SIDE, SIDE), -30.0)
    mask_logits[:, :4, :4] = masks.logit()[:, None, None]
    class_logits = torch.tensor(list(logits)).repeat(count, 1)
    return Predictions(
        boxes=torch.tensor([[0.0, 0.0, 4.0, 4.0]]).repeat(count, 1),
        scores=classes,
        labels=class_logits.argmax(dim=1),
        class_quality=classes,
        class_logits=class_logits,
        mask_logits=mask_logits,
    )


@pytest.fixture
def make_host() -> type[ScriptedHost]:
    return ScriptedHost


@pytest.fixture
def make_predictions() -> Callable[..., Predictions]:
    return predictions


@pytest.fixture
def batch() -> Batch:
    """Two labelled and two unlabelled images; weak views are dark, strong ones bright."""
    dark, bright = torch.zeros(2, 3, SIDE, SIDE), torch.ones(2, 3, SIDE, SIDE)
    target = Targets(
        boxes=torch.tensor([[1.0, 1.0, 5.0, 5.0]]),
        labels=torch.tensor([0]),
        masks=torch.zeros(1, SIDE, SIDE, dtype=torch.bool),
    )
    view = ViewGeometry(SIDE, SIDE, False, 1.0, 1.0, 0.0, 0.0, SIDE, SIDE)
    return Batch(
        LabeledBatch(dark, bright, [target, target]),
        UnlabeledBatch(dark, bright, [11, 12], [view, view]),
    )
