"""Pseudo-Depth's settings; every default is the paper's, or says where the paper has none."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lab.config.box_method import BoxMethodConfig
from lab.config.fields import Count, Fraction, Live, Positive, Weight


class PseudoDepthConfig(BoxMethodConfig):
    """Pseudo-Depth: depth maps of a frozen network guide masks; late, a teacher's masks do too."""

    name: Literal["pseudo_depth"]
    depth_guided: bool = True
    """The mask head predicts depth and multiplies its logits by it (DG-MaskHead, Eq. 1)."""
    depth_weight: Live[Weight] = 1.0
    """Of the predicted depth's squared error (Eq. 2)."""
    depth_range: Literal["image", "instance"] = "image"
    """Where true depth runs from 0 to 1 in that error: over the image, or anew in every box."""
    consistency_weight: Live[Weight] = 1.0
    """Of the pairwise term of neighbours at one depth (Eq. 4); grows as `box_loss` does, and
    takes its `dilation`."""
    depth_threshold: Live[Fraction] = 0.5
    """tau_d: neighbours are at one depth when their consistency is above this."""
    depth_sharpness: Live[Weight] = 10.0
    """kappa: consistency is exp(-kappa |difference|) for depth in [0, 1]. The paper prints 1, by
    which its thresholds up to 0.36 would join everything; 10 is ours."""
    distil_from: Count = 65_000
    """The teacher is copied from the student before this step, and teaches from it on."""
    dice_weight: Live[Weight] = 4.0
    """gamma, of the dice against the teacher's reliable masks; 0 = no distillation."""
    ema_decay: Live[Fraction] = 0.999
    """Of the teacher."""
    teacher_side: Annotated[int, Field(ge=32)] | None = None
    """Short side of what the teacher sees (the paper: 800), at most `view.max_side` long; None =
    what the student sees."""
    proposals: Literal["dense", "suppressed"] = "dense"
    """Whose masks the teacher offers: those of all its places, or what is left after
    non-maximum suppression."""
    num_candidates: Positive = 10
    """Only the masks of so many best boxes per object are drawn and scored (ours)."""
    min_box_iou: Live[Fraction] = 0.1
    """A box that overlaps an object's less can never be its (ours)."""
    match_iou: Live[Fraction] = 0.8
    """alpha: share of the box IoU in the match score (Eq. 9)."""
    match_depth: Live[Fraction] = 0.2
    """beta: share of the depth consistency; the prediction's own score has the rest: nothing."""
    match_threshold: Live[Fraction] = 0.8
    """tau_m: a mask whose match score is above this is reliable."""

    @model_validator(mode="after")
    def _shares_of_a_whole(self) -> PseudoDepthConfig:
        if self.match_iou + self.match_depth > 1 + 1e-9:
            raise ValueError(
                f"match_iou {self.match_iou} and match_depth {self.match_depth} are shares of one "
                "score: their sum cannot be above 1"
            )
        return self
