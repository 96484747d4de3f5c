"""Four objects by hand: fused masks fit better than single ones, and MQS knows which fit.

A mask is a row of six cells, of which the object has the first four. The expected values are made
here, in plain numpy from the formulas of the paper, not by the code that is tested.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from engine.pseudo_labels.box_quality import Ranked
from engine.pseudo_labels.mask_fusion import Fused, fuse_ranked
from lab.analysis.mask_quality import JudgedMasks, fusion_gain, rank_correlations

TRUTH = np.array([1, 1, 1, 1, 0, 0], np.bool_)

Row = NDArray[np.float64]


@dataclass(frozen=True)
class Object:
    """Three candidates of one object, the best box first."""

    scores: Row
    """(3,) class scores."""
    ious: Row
    """(3,) of their boxes."""
    masks: Row
    """(3, 6) probabilities."""

    @property
    def fused(self) -> Row:
        """Eq. 2."""
        worth = np.sqrt(self.scores * self.ious)
        return (worth[:, None] * self.masks).sum(axis=0) / worth.sum()

    @property
    def single(self) -> Row:
        return self.masks[np.sqrt(self.scores * self.ious).argmax()]

    @property
    def mqs(self) -> float:
        """Eq. 5: every candidate counts, and the box is the whole row."""
        return float(np.sqrt(self.scores.mean() * self.fused[self.fused > 0.5].mean()))


def an_object(scores: list[float], ious: list[float], *masks: list[float]) -> Object:
    return Object(np.array(scores), np.array(ious), np.array(masks))


OBJECTS = (
    # Each candidate errs in a cell of its own, surely: the others outvote it.
    an_object(
        *([0.80, 0.78, 0.76], [0.9, 0.8, 0.8]),
        [0.95, 0.95, 0.95, 0.20, 0.60, 0.10],
        [0.95, 0.95, 0.40, 0.95, 0.20, 0.10],
        [0.95, 0.40, 0.95, 0.95, 0.10, 0.20],
    ),
    # All of them end too early: so does the fused mask, but in one cell less.
    an_object(
        *([0.75, 0.70, 0.60], [0.85, 0.8, 0.75]),
        [0.90, 0.90, 0.30, 0.20, 0.10, 0.10],
        [0.90, 0.80, 0.90, 0.40, 0.20, 0.10],
        [0.80, 0.90, 0.90, 0.30, 0.10, 0.00],
    ),
    # All of them bleed into the ground, the best one farthest.
    an_object(
        *([0.85, 0.80, 0.75], [0.8, 0.8, 0.7]),
        [0.80, 0.70, 0.70, 0.60, 0.70, 0.60],
        [0.70, 0.70, 0.30, 0.70, 0.60, 0.20],
        [0.70, 0.60, 0.60, 0.20, 0.60, 0.30],
    ),
    # The surest class of all, and no candidate knows where the object is: fusing does not help.
    an_object(
        *([0.90, 0.75, 0.60], [0.8, 0.8, 0.8]),
        [0.60, 0.60, 0.30, 0.20, 0.70, 0.60],
        [0.60, 0.20, 0.60, 0.30, 0.60, 0.30],
        [0.60, 0.60, 0.20, 0.40, 0.60, 0.30],
    ),
)


def iou(mask: NDArray[np.bool_]) -> float:
    return (mask & TRUTH).sum() / (mask | TRUTH).sum()


def fused() -> Fused:
    """All four objects, through the code."""
    scores = torch.tensor(np.stack([one.scores for one in OBJECTS]))
    ious = torch.tensor(np.stack([one.ious for one in OBJECTS]))
    masks = torch.tensor(np.concatenate([one.masks for one in OBJECTS]))[:, None]
    ranked = Ranked(torch.arange(12).view(4, 3), ious, scores)
    return fuse_ranked(ranked, masks, torch.ones(4, 1, 6, dtype=torch.bool), 0.5, 0.5)


def judged() -> JudgedMasks:
    """The same, held against the truth, as an analysis finds them in the store."""
    made = fused()
    return JudgedMasks(
        steps=np.zeros(4, np.int64),
        true_ious=np.array([iou(row > 0.5) for row in made.masks[:, 0].numpy()]),
        scores={
            "mask_score": made.quality.numpy(),
            "class_quality": np.array([one.scores[0] for one in OBJECTS]),
        },
        single_ious=np.array([iou(row > 0.5) for row in made.single[:, 0].numpy()]),
    )


def test_masks_and_scores_are_those_of_the_formulas():
    made = fused()

    for index, one in enumerate(OBJECTS):
        np.testing.assert_allclose(made.masks[index, 0], one.fused, atol=1e-12)
        np.testing.assert_allclose(made.single[index, 0], one.single, atol=1e-12)
        assert made.quality[index].item() == pytest.approx(one.mqs, abs=1e-12)


def test_fused_masks_fit_better_than_single_ones():
    """IoUs 1, 3/4, 4/5, 1/5 against 3/5, 2/4, 4/6, 2/6: means .6875 and .525."""
    by_numpy = [(iou(one.fused > 0.5), iou(one.single > 0.5)) for one in OBJECTS]
    by_hand = [(1, 3 / 5), (3 / 4, 2 / 4), (4 / 5, 4 / 6), (1 / 5, 2 / 6)]
    np.testing.assert_allclose(by_numpy, by_hand)

    gain = fusion_gain(judged())

    expected = np.mean(by_numpy, axis=0)
    assert (gain.fused, gain.single) == pytest.approx(tuple(expected))
    assert gain.gain == pytest.approx(expected[0] - expected[1]) and gain.gain > 0.15
    assert (gain.masks, gain.better, gain.worse) == (4, 0.75, 0.25)


def test_mqs_ranks_them_by_the_truth_better_than_the_class_score():
    """By IoU 4 2 3 1; MQS says 4 3 2 1: 1 - 6 * 2 / 60. The class says 2 1 3 4: 1 - 6 * 14 / 60."""
    truth = [iou(one.fused > 0.5) for one in OBJECTS]
    by_mqs = spearmanr([one.mqs for one in OBJECTS], truth).statistic
    by_class = spearmanr([one.scores[0] for one in OBJECTS], truth).statistic
    assert (by_mqs, by_class) == pytest.approx((0.8, -0.4))

    found = rank_correlations(judged())

    assert found == pytest.approx({"mask_score": by_mqs, "class_quality": by_class})
