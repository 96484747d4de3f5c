"""What a paper may assume about the rest of the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from engine.instances import Predictions, Targets, TensorTable
from lab.datasets.records import LabelSource


@dataclass(frozen=True)
class ViewGeometry:
    """How an image became a view: flip, then scale, then crop. The way back is exact."""

    image_height: int
    image_width: int
    flipped: bool
    scale_y: float
    """View pixels per image pixel."""
    scale_x: float
    offset_y: float
    """View pixel (y, x) shows pixel (y + offset_y, x + offset_x) of the scaled, flipped image."""
    offset_x: float
    height: int
    """Rows of the view that show the image; the rest is padding."""
    width: int


@dataclass(frozen=True)
class LabeledBatch:
    """B labelled images: the same geometry seen weakly and strongly perturbed."""

    weak: Tensor
    """(B, 3, H, W) float in [0, 1]; padding is 0."""
    strong: Tensor
    targets: list[Targets]
    image_ids: list[int] = field(default_factory=list)
    geometry: list[ViewGeometry] = field(default_factory=list)
    annotation_ids: list[list[int]] = field(default_factory=list)
    """Per image the id of each target."""
    depth: Tensor | None = None
    """(B, H, W) in [0, 1], 1 = nearest, for methods that want it; padding is 0, and so is all of
    an image whose depth is not known."""

    def both_views(self) -> tuple[Tensor, list[Targets]]:
        """The weak views, then the strong ones, with the targets of each. (2B, 3, H, W)."""
        return torch.cat([self.weak, self.strong]), [*self.targets, *self.targets]


@dataclass(frozen=True)
class UnlabeledBatch:
    """B images without any truth."""

    weak: Tensor
    strong: Tensor
    image_ids: list[int]
    geometry: list[ViewGeometry]


@dataclass(frozen=True)
class Batch:
    """One training step's images. `unlabeled` is None during burn-in."""

    labeled: LabeledBatch
    unlabeled: UnlabeledBatch | None = None


@dataclass(frozen=True)
class BoxScores(TensorTable):
    """How a pseudo mask was made of a box: N masks, all (N,). NaN where a method has no such score.

    See lab.datasets.records.BoxScores, which this becomes.
    """

    targets: Tensor
    """Which target of the image the mask was made for."""
    num_candidates: Tensor
    num_effective: Tensor
    box_score: Tensor
    pixel_score: Tensor
    mask_score: Tensor
    depth_score: Tensor
    match_score: Tensor
    semantic_score: Tensor
    instance_score: Tensor

    @classmethod
    def of(cls, targets: Tensor, **scores: Tensor) -> Self:
        """The given scores; the others are NaN."""
        unknown = torch.full(targets.shape, torch.nan, device=targets.device)
        names = [f.name for f in fields(cls) if f.name != "targets"]
        return cls(targets, **{name: scores.pop(name, unknown) for name in names}, **scores)


@dataclass(frozen=True)
class Candidates:
    """Every teacher candidate of one view with its scores and its fate: what gets recorded.

    N candidates; see lab.datasets.records.PseudoLabels, which this becomes, for each column.
    """

    image_id: int
    source: LabelSource
    geometry: ViewGeometry
    predictions: Predictions
    labels: Tensor
    """(N,) class after correction."""
    mask_quality: Tensor
    kept: Tensor
    rules: Tensor
    """(N,) DropRule."""
    rule_values: Tensor
    teacher_before: Tensor
    teacher_after: Tensor
    clip_before: Tensor
    clip_after: Tensor
    fused: Tensor
    """(N,) probability of the class after correction by teacher and CLIP together; NaN where CLIP
    did not speak."""
    uncertainty: Tensor
    weights: Tensor
    box_scores: BoxScores | None = None
    """Of masks made from boxes."""
    annotation_ids: tuple[int, ...] = ()
    """The ids of the image's targets, which `box_scores.targets` counts through."""
    confines: Tensor | None = None
    """(N, 4) XYXY: a mask ends at this box; None = at the edge of the image."""
    mask_stride: int = 1
    """Pixels per cell of `predictions.mask_logits`: they are enlarged only where recorded."""
    single_logits: Tensor | None = None
    """(N, h, w) like the mask logits, of fused masks: those of the best candidate alone."""


@dataclass(frozen=True)
class Losses:
    """Scalars to minimise (sup, unsup), numbers to look at (stats), labels to record."""

    sup: dict[str, Tensor]
    unsup: dict[str, Tensor] = field(default_factory=dict)
    stats: dict[str, Tensor | float] = field(default_factory=dict)
    candidates: list[Candidates] = field(default_factory=list)

    def total(self) -> Tensor:
        terms = [*self.sup.values(), *self.unsup.values()]
        return sum(terms[1:], start=terms[0])

    def scalars(self) -> dict[str, Tensor | float]:
        """Everything worth plotting, still on the device: no host sync here."""
        return {
            "loss/total": self.total().detach(),
            **{f"loss/sup/{name}": loss.detach() for name, loss in self.sup.items()},
            **{f"loss/unsup/{name}": loss.detach() for name, loss in self.unsup.items()},
            **self.stats,
        }


class Segmenter(Protocol):
    """A network that finds instances. Both hosts and the optional adapter offer this.

    Images are (B, 3, H, W) float in [0, 1], H and W multiples of 32. It is an nn.Module; `module`
    gives it as one so that EMA, checkpoints and optimisers need not know the host.
    """

    @property
    def module(self) -> nn.Module: ...

    def losses(
        self,
        images: Tensor,
        targets: Sequence[Targets],
        doubtful: Sequence[Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Named scalar losses, already weighted against each other. Empty targets are normal.

        Args:
            doubtful: per image (M, 4) boxes where something may or may not be: the network is not
                taught that nothing is there. A box without area says nothing.
        """
        ...

    def predict(self, images: Tensor, *, one_class_each: bool = False) -> list[Predictions]:
        """Candidates per image, best first, mask logits at input resolution. No gradient.

        Args:
            one_class_each: only candidates under their own best class; no mask is made of others.
                For AP, one object may count under several classes. As pseudo-labels, two of them
                could be kept below a class threshold of one half, and corrected to the same class.
        """
        ...


class Method(Protocol):
    """A paper: turns a batch into losses. The trainer owns EMA, optimiser and schedule."""

    @property
    def unlabeled_from(self) -> int | None:
        """The first step that needs unlabelled images; None = never."""
        ...

    @property
    def teacher_from(self) -> int | None:
        """The step before which the teacher does not exist yet; None = it always does."""
        ...

    def teacher_decay(self, step: int) -> float | None:
        """How the teacher follows the student just before `step`.

        None = it stays as it is (not started yet, or frozen); 0 = it becomes a copy; otherwise the
        decay of the moving average.
        """
        ...

    def student_restarts(self, step: int) -> bool:
        """Whether the student goes back to its initial weights just before `step`.

        After the teacher has moved: what the student has learnt until then lives on in it.
        """
        ...

    def judge(self, found: Candidates) -> Candidates:
        """The same candidates with their fate under the method's rules."""
        ...

    def losses(self, batch: Batch, step: int) -> Losses: ...


@runtime_checkable
class RemembersState(Protocol):
    """A method that keeps something between steps (a memory bank, prototypes): also a Method.

    What it keeps goes into the checkpoint: tensors, numbers, strings, and lists and dicts of them.
    """

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...
