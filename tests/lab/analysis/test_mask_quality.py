"""Mean true IoU of pseudo masks and how well scores rank them, computed by hand."""

from __future__ import annotations

from dataclasses import replace
from math import isnan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from lab.analysis.mask_quality import (
    JudgedMasks,
    fusion_gain,
    judged_masks,
    mean_true_iou,
    periods,
    rank_correlations,
)
from lab.config import RunConfig
from lab.store.recorder import StoreRecorder
from lab.store.runs import create_run
from lab.store.store import Store
from tests.factories import box_scores, pseudo_labels

NAN = float("nan")


def masks(
    true_ious: list[float], single_ious: list[float] | None = None, **scores: list[float]
) -> JudgedMasks:
    """One mask per step, from step 0; by default nothing was fused."""
    singles = [NAN] * len(true_ious) if single_ious is None else single_ious
    return JudgedMasks(
        np.arange(len(true_ious)),
        np.array(true_ious, np.float32),
        {name: np.array(values, np.float32) for name, values in scores.items()},
        np.array(singles, np.float32),
    )


def test_the_mean_leaves_masks_without_truth_out():
    assert mean_true_iou(masks([0.5, NAN, 0.75])) == 0.625
    assert isnan(mean_true_iou(masks([NAN])))
    assert isnan(mean_true_iou(masks([])))


def test_a_score_that_orders_masks_as_the_truth_does_has_rho_1():
    """Ranks 1 2 3 4; the last score swaps the middle two: 1 - 6 * 2 / (4 * 15) = 0.8."""
    found = rank_correlations(
        masks(
            [0.2, 0.4, 0.6, 0.9],
            mask_score=[0.1, 0.2, 0.3, 0.9],
            box_score=[0.9, 0.8, 0.7, 0.6],
            pixel_score=[0.1, 0.3, 0.2, 0.9],
        )
    )

    assert found == pytest.approx({"mask_score": 1.0, "box_score": -1.0, "pixel_score": 0.8})


def test_a_score_that_says_nothing_has_no_rank_correlation():
    found = rank_correlations(masks([0.2, 0.4], box_score=[0.5, 0.5], mask_score=[NAN, 0.5]))

    assert isnan(found["box_score"]) and isnan(found["mask_score"])


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)), min_size=3))
def test_it_is_spearmans_rho_with_ties(pairs: list[tuple[float, float]]):
    score, truth = zip(*pairs, strict=True)
    found = rank_correlations(masks(list(truth), box_score=list(score)))["box_score"]

    if len(set(score)) == 1 or len(set(truth)) == 1:
        assert isnan(found)
    else:
        assert found == pytest.approx(spearmanr(score, truth).statistic)


def test_what_fusing_gained_is_told_in_pairs():
    """Differences .25, .5, -.125, 0: mean 5/32, their squares' sum .234375 about it, / 3 / 4."""
    found = fusion_gain(masks([0.75, 0.75, 0.5, 0.5, 0.9, NAN], [0.5, 0.25, 0.625, 0.5, NAN, 0.4]))

    assert (found.masks, found.fused, found.single) == (4, 0.625, 0.46875)
    assert found.gain == 0.15625
    assert found.standard_error == pytest.approx((0.23046875 / 12) ** 0.5)
    assert (found.better, found.worse) == (0.5, 0.25)


def test_nothing_is_gained_where_nothing_was_fused():
    for none in (masks([0.5, 0.75]), masks([NAN], [0.5]), masks([])):
        found = fusion_gain(none)

        assert found.masks == 0
        assert isnan(found.fused) and isnan(found.gain) and isnan(found.better)


def test_one_mask_has_a_gain_without_an_error():
    found = fusion_gain(masks([0.75], [0.5]))

    assert (found.masks, found.gain, found.better, found.worse) == (1, 0.25, 1, 0)
    assert isnan(found.standard_error)


def test_periods_divide_the_recorded_steps_and_lose_no_mask():
    single = [0.1, 0.2, NAN, 0.5, NAN]
    made = masks([0.1, 0.3, 0.5, 0.7, 0.9], single, mask_score=[0.1, 0.2, 0.3, 0.5, 0.4])

    first, second = periods(made, 2)

    assert (first.first_step, first.last_step, first.masks) == (0, 2, 3)
    assert (second.first_step, second.last_step, second.masks) == (3, 4, 2)
    assert first.mean_true_iou == pytest.approx(0.3)
    assert second.correlations == pytest.approx({"mask_score": -1.0})
    assert (first.fusion.masks, first.fusion.gain) == (2, pytest.approx(0.05))
    assert (second.fusion.masks, second.fusion.gain) == (1, pytest.approx(0.2))
    assert len(periods(made, 100)) == 5
    assert periods(masks([])) == []


def test_a_mask_is_held_against_the_object_it_was_made_for(tmp_path: Path):
    """The label's kind was decided by another object, of IoU 0.8 or 0.3: that does not count."""
    boxed = pseudo_labels(4, image_id=1)
    ious = np.array([[0.1, 0.2, 0.3, NAN], [0.1, 0.1, NAN, 0.4]], np.float32)
    scores = box_scores(boxed, target_ious=ious[0], single_ious=ious[1])
    plain = pseudo_labels(3, image_id=2)
    with Store.open(tmp_path) as store:
        run = create_run(store, RunConfig())
        with StoreRecorder(store, run) as recorder:
            recorder.pseudo_labels(1, [replace(boxed, box_scores=scores)])
            recorder.pseudo_labels(2, [plain])
        both = judged_masks(store, run)
        first = judged_masks(store, run, last_step=1)
        second = judged_masks(store, run, 2)
        none = judged_masks(store, run, 3)

    assert mean_true_iou(first) == pytest.approx(0.2)
    assert fusion_gain(first).masks == fusion_gain(both).masks == 2
    assert fusion_gain(first).gain == pytest.approx(0.05)
    assert fusion_gain(second).masks == 0
    assert {"mask_score", "box_score", "class_quality"} <= set(first.scores)
    assert "depth_score" not in first.scores
    np.testing.assert_array_equal(second.true_ious, plain.true_ious)
    assert set(second.scores) == {"class_quality", "mask_quality"}
    assert (len(both), len(none)) == (7, 0)
    assert rank_correlations(none) == {}
