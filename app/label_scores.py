"""The scores of a label in words: what the pages and the verbs call them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LabelScore:
    """A number that labels have, named for people."""

    name: str
    """Its column in the store."""
    words: str
    about: str
    in_rules: str = ""
    """What a rule calls it: "class is at least 0.7"; empty = as `words`."""

    @property
    def short(self) -> str:
        return self.in_rules or self.words

    @property
    def is_share(self) -> bool:
        """Whether it lies in [0, 1]."""
        return self.name not in ("num_candidates", "num_effective", "weight")


SCORES = (
    LabelScore("class_quality", "class quality", "How sure the teacher is of the class", "class"),
    LabelScore(
        "mask_quality", "mask quality", "How sure the teacher is of the mask's pixels", "mask"
    ),
    LabelScore("score", "product", "Class quality × mask quality"),
    LabelScore(
        "box_score",
        "box score",
        "How good the boxes are that the mask was made from (BoxSeg: mean class score of those "
        "that BQR ranked first and that count; BoxTeacher: of the one detection)",
    ),
    LabelScore("pixel_score", "pixel score", "Mean probability of the mask's pixels in the box"),
    LabelScore(
        "mask_score",
        "mask score (MQS)",
        "How far the mask is trusted (BoxSeg's MQS and BoxTeacher's mask-aware score: box and "
        "pixel score in one)",
        "mask score",
    ),
    LabelScore("depth_score", "depth score", "How well the mask follows depth"),
    LabelScore("match_score", "match score", "How well the prediction matches the box"),
    LabelScore("semantic_score", "semantic score", "Mean of the semantic map inside the mask"),
    LabelScore("instance_score", "instance score", "Mean of the instance map inside the mask"),
    LabelScore("uncertainty", "pixel uncertainty", "Mean doubt about the mask's pixels"),
    LabelScore("num_candidates", "candidates", "Masks that there were to choose from or to fuse"),
    LabelScore("num_effective", "effective candidates", "... and that were good enough to count"),
    LabelScore("weight", "loss weight", "What the label weighs in the loss; 0 = taught nothing"),
    LabelScore("true_iou", "true IoU", "Overlap with the true object that decided its kind"),
    LabelScore("target_iou", "true IoU", "Overlap with the hidden mask of its own object"),
    LabelScore(
        "single_iou",
        "single true IoU",
        "The same of the best candidate's mask alone: what there would be without fusing",
    ),
)
BY_NAME = {score.name: score for score in SCORES}


def scores_of(recorded: Collection[str]) -> list[LabelScore]:
    """The scores to show of a run that recorded these columns; one true IoU is enough."""
    hidden = {"true_iou"} if "target_iou" in recorded else set()
    return [score for score in SCORES if score.name in recorded and score.name not in hidden]
