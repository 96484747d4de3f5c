"""The papers that learn masks from boxes; every default is the paper's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lab.config.fields import Count, Fraction, Frozen, Live, Positive, Weight


class BoxLossConfig(Frozen):
    """BoxInst's two terms, which all box-supervised methods share."""

    projection_weight: Live[Weight] = 1.0
    """A mask must reach the sides of its box, and not beyond."""
    pairwise_weight: Live[Weight] = 1.0
    """Neighbours of one colour must have one label."""
    warmup_steps: Count = 10_000
    """The pairwise weight grows linearly until this step."""
    colour_threshold: Live[Fraction] = 0.3
    """Colours at least this similar are one colour. The paper's best is 0.1; its code takes 0.3."""
    dilation: Positive = 2
    """Cells of the mask between neighbours."""
    bottom_rows: Count = 10
    """Rows at the bottom of an image whose colours are not trusted (COCO has frames there)."""


class BoxMethodConfig(Frozen):
    """What every box-supervised method has. Its run sees boxes and classes, never a mask."""

    box_loss: BoxLossConfig = BoxLossConfig()


class BoxInstConfig(BoxMethodConfig):
    """BoxInst (arXiv:2012.02310): projections and colours, no teacher."""

    name: Literal["boxinst"]
    ema_decay: Live[Fraction] = 0.0
    """Decay of the evaluated average of the weights; 0 = the student itself, as in the paper."""


class MaskTeacherConfig(BoxMethodConfig):
    """What the methods share whose teacher makes a mask for every box."""

    pixel_threshold: Live[Annotated[float, Field(ge=0.5, lt=1.0)]] = 0.5
    """Pixels above this probability are the mask."""
    pixel_weight: Live[Weight] = 0.5
    """Of the dice against pseudo masks."""
    affinity_weight: Live[Weight] = 0.1
    """Of the pairwise term whose edges come from pseudo masks."""
    affinity_threshold: Live[Fraction] = 0.5
    """Neighbours at least this surely of one label are an edge."""
    warmup_steps: Count = 10_000
    """Both weights grow linearly until this step."""
    ema_decay: Live[Fraction] = 0.999
    """Of the teacher, reached from 0 by 1 - 1 / (step + 1)."""
    teacher_side: Annotated[int, Field(ge=32)] | None = None
    """Short side of what the teacher sees (the papers: 800), at most `view.max_side` long; None =
    what the student sees."""
    erasing: bool = False
    """Random erasing in the student's view (the originals have none)."""


class BoxTeacherConfig(MaskTeacherConfig):
    """BoxTeacher (arXiv:2210.05174): a teacher's masks, each as far as it can be trusted."""

    name: Literal["boxteacher"]
    min_box_iou: Live[Fraction] = 0.5
    """A detection speaks for an object when their boxes overlap at least this much."""
    min_score: Live[Fraction] = 0.0
    """... and its score is at least this."""
    confidence: Literal["paper", "released"] = "paper"
    """paper: sqrt(s m), m the mean probability of mask pixels in the box; released: the authors'
    code, sqrt(sqrt(s) m) with the mean over the whole mask."""
