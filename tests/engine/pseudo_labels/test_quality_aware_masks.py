"""What BoxSeg claims of its masks and scores, on a teacher that errs as trained ones do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from engine.pseudo_labels.box_assignment import match_detections
from engine.pseudo_labels.box_quality import rank_boxes
from engine.pseudo_labels.mask_fusion import fuse_ranked
from tests.engine.pseudo_labels.noisy_teacher import Case, cases

SEEDS = pytest.mark.parametrize("seed", range(3))


@dataclass(frozen=True)
class Outcome:
    """Of one object: true IoUs of two masks, and what the second is scored by."""

    single: float
    """Of the detection that BPMA takes."""
    fused: float
    quality: float
    """MQS of the fused mask."""
    class_score: float
    """Of its best candidate."""
    box_score: float
    """Mean of its candidates."""


def outcome(case: Case) -> Outcome | None:
    """None where one of both methods has no mask."""
    order = case.scores.argsort(descending=True)
    (match,) = match_detections(case.ious[order].numpy())
    counts = torch.tensor([10])
    ranked = rank_boxes(case.ious, case.scores, case.ious > 0.5, counts, most=10)
    rows = ranked.rows[ranked.scores > 0.5]
    if match < 0 or len(rows) == 0:
        return None
    made = fuse_ranked(ranked, case.probs[rows], case.inside, 0.5, 0.5)
    return Outcome(
        single=case.iou_of(case.probs[order[match]] > 0.5),
        fused=case.iou_of(made.masks[0] > 0.5),
        quality=float(made.quality),
        class_score=float(case.scores[made.best[0]]),
        box_score=float(made.box_score),
    )


def outcomes(seed: int) -> list[Outcome]:
    found = [one for one in map(outcome, cases(seed)) if one is not None]
    assert len(found) > 50
    return found


@SEEDS
def test_fused_masks_are_nearer_to_the_truth_than_the_one_mask_of_bpma(seed: int):
    """About .82 against .75."""
    found = outcomes(seed)

    single = np.mean([one.single for one in found])
    fused = np.mean([one.fused for one in found])

    assert fused > single + 0.03


@SEEDS
def test_the_mask_quality_ranks_the_truth_better_than_the_class_score(seed: int):
    """Rank correlations of about .5 against .3; the mean class score is no better than one."""
    found = outcomes(seed)
    truth = [one.fused for one in found]

    by_quality = spearmanr([one.quality for one in found], truth).statistic
    by_class = spearmanr([one.class_score for one in found], truth).statistic
    by_mean_class = spearmanr([one.box_score for one in found], truth).statistic

    assert by_quality > max(by_class, by_mean_class) + 0.1
