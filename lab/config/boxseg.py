"""BoxSeg's settings; every default is the paper's, the authors' code has its own by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from lab.config.box_method import MaskTeacherConfig
from lab.config.fields import Count, Fraction, Frozen, Live, Positive

PixelArea = Annotated[float, Field(gt=0.0)]

RELEASED: Mapping[str, Any] = {
    "adaptive_k": False,
    "num_candidates": 20,
    "box_threshold": 0.1,
    "early_box_threshold": 0.1,
}
"""Where the authors' code differs from the paper in a number."""


class PeerConfig(Frozen):
    """Peer-assisted copy-paste: objects with good masks are pasted over others of their class."""

    enabled: Live[bool] = True
    select: Live[Literal["best", "random"]] = "best"
    """Of what the drawn image offers: the mask of the highest quality, or any."""
    place: Live[Literal["overlapping", "random"]] = "overlapping"
    """So that its box and the learner's overlap, or anywhere in the image."""
    learner: Live[Literal["lowest_quality", "random"]] = "lowest_quality"
    """Whom it is pasted over: the object whose mask is the poorest, as the paper says, or any of
    that class, as the authors' code does."""
    bank_size: Positive = 80
    """Most images whose objects are remembered."""
    max_box_iou: Live[Fraction] = 0.1
    """An object is remembered when no other box of its image overlaps its own this much,"""
    min_quality: Live[Fraction] = 0.5
    """... its mask quality is above this,"""
    min_box_score: Live[Fraction] = 0.5
    """... its mean box score is above this,"""
    min_pixels: Live[Count] = 300
    """... and its mask has more pixels of the view than this. So must what is left of a pasted
    object, and of one that it covers."""
    min_overlap: Live[Fraction] = 0.1
    """Share of the pasted box's sides that overlaps the learner's at least."""
    max_moved: Live[Count] = 10
    """A covered object also stays when no side of its box moved more pixels than this."""
    final_probability: Live[Fraction] = 0.3
    """How often an image is pasted into falls from 1 to this,"""
    decline_steps: Count = 10_000
    """... in so many steps."""


class BoxSegConfig(MaskTeacherConfig):
    """BoxSeg: several masks of a teacher become one, and good ones help their peers."""

    name: Literal["boxseg"]
    formulas: Literal["paper", "released"] = "paper"
    """paper: candidates are fused by the quality of their boxes (Eq. 2) and the result is scored
    (Eq. 5); released: the authors' code, where each of up to 20 candidates has one vote and the
    quality is the mean of theirs. Also brings its numbers, where none are given."""
    ranking: Live[Literal["bqr", "bpma"]] = "bqr"
    """Where candidates come from: bqr = the best boxes of all proposals; bpma = the one detection
    that BoxTeacher would take."""
    same_class: Live[bool] = True
    """Only proposals of the object's class are candidates (the authors' code; for bqr)."""
    min_box_iou: Live[Fraction] = 0.5
    """... whose box overlaps the object's more than this (bpma: at least)."""
    qmf: Live[bool] = True
    """Fuse the candidates; off = the best box alone."""
    adaptive_k: Live[bool] = True
    """Fewer candidates for small objects (Eq. 4); off = `num_candidates` for all."""
    num_candidates: Positive = 10
    """K of large objects."""
    min_candidates: Positive = 2
    """K of small objects."""
    small_area: PixelArea = 32.0**2
    """Area of a box, in pixels of the image, up to which an object is small,"""
    large_area: PixelArea = 96.0**2
    """... and from which on it is large."""
    box_threshold: Live[Fraction] = 0.5
    """A candidate counts when its class probability is above this."""
    early_box_threshold: Live[Fraction] = 0.1
    """... and above this until the warm-up ends, for networks that start from nothing."""
    mqs: Live[bool] = True
    """Masks count as far as they are good (Eq. 5); off = all the same."""
    peers: PeerConfig = PeerConfig()

    @model_validator(mode="before")
    @classmethod
    def _as_released(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("formulas") != "released":
            return data
        peers = data.get("peers", {})
        if isinstance(peers, dict):
            peers = {"learner": "random", **peers}
        return {**RELEASED, **data, "peers": peers}

    @model_validator(mode="after")
    def _limits_in_order(self) -> BoxSegConfig:
        if self.adaptive_k and self.min_candidates > self.num_candidates:
            raise ValueError(
                f"min_candidates {self.min_candidates} is above "
                f"num_candidates {self.num_candidates}"
            )
        if self.small_area >= self.large_area:
            raise ValueError(
                f"small_area {self.small_area} must be below large_area {self.large_area}"
            )
        return self
