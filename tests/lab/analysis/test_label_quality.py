"""Precision, recall, curves, calibration and rank correlation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import spearmanr

from lab.analysis.quality import (
    agreement,
    calibration,
    precision_at_recall,
    precision_recall_curve,
    rank_correlation,
)
from lab.datasets.records import ErrorKind

SCORES = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
CORRECT = np.array([True, False, True, False])


def test_precision_and_recall_of_the_kept_labels_by_hand():
    kinds = np.array([ErrorKind.COR, ErrorKind.COR, ErrorKind.BG, ErrorKind.COR, ErrorKind.IGNORED])
    duplicates = np.array([False, True, False, False, False])
    kept = np.array([True, True, True, False, True])

    result = agreement(kinds, duplicates, kept, num_truths=4)

    # 3 judged, 2 correct, 1 truth found of 4.
    assert (result.labels, result.correct, result.found) == (3, 2, 1)
    assert (result.precision, result.recall) == (2 / 3, 1 / 4)
    assert result.f1 == pytest.approx(2 * (2 / 3) * (1 / 4) / (2 / 3 + 1 / 4))


def test_without_labels_precision_is_unknown_and_f1_zero():
    none = np.zeros(0, np.int64)

    result = agreement(none, none.astype(bool), none.astype(bool), num_truths=2)

    assert math.isnan(result.precision)
    assert (result.recall, result.f1) == (0, 0)


def test_the_curve_by_hand():
    curve = precision_recall_curve(SCORES, CORRECT, num_truths=4)

    assert curve.precision.tolist() == [1, 1 / 2, 2 / 3, 2 / 4]
    assert curve.recall.tolist() == [1 / 4, 1 / 4, 2 / 4, 2 / 4]


def test_labels_of_equal_score_enter_together():
    curve = precision_recall_curve(np.array([0.5, 0.5, 0.5]), np.array([True, False, True]), 2)

    assert curve.thresholds.tolist() == [0.5]
    assert curve.precision.tolist() == [2 / 3]


def test_an_empty_set_has_an_empty_curve():
    curve = precision_recall_curve(np.zeros(0), np.zeros(0, np.bool_), num_truths=3)

    assert len(curve.thresholds) == len(curve.precision) == len(curve.recall) == 0


def test_precision_at_equal_recall_by_hand():
    assert precision_at_recall(SCORES, CORRECT, 4, recall=0.25) == 1
    assert precision_at_recall(SCORES, CORRECT, 4, recall=0.5) == 2 / 3
    assert precision_at_recall(SCORES, CORRECT, 4, recall=0.75) == 0


@pytest.mark.parametrize("recall", [0.0, 1.5])
def test_an_impossible_recall_is_refused(recall):
    with pytest.raises(ValueError, match="recall"):
        precision_at_recall(SCORES, CORRECT, 4, recall=recall)


def test_a_nan_score_and_too_few_truths_are_refused():
    with pytest.raises(ValueError, match="score 1 is NaN"):
        precision_recall_curve(np.array([0.5, np.nan]), np.array([True, False]), 1)
    with pytest.raises(ValueError, match="num_truths is 1 with 2 correct"):
        precision_recall_curve(SCORES, CORRECT, num_truths=1)


scored = st.integers(1, 30).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.int64, n, elements=st.integers(0, 8)), hnp.arrays(np.bool_, n)
    )
)


@given(scored)
def test_each_point_of_the_curve_is_what_its_threshold_keeps(sample):
    scores, correct = sample[0] / 8, sample[1]
    curve = precision_recall_curve(scores, correct, num_truths=30)

    for threshold, precision, recall in zip(
        curve.thresholds, curve.precision, curve.recall, strict=True
    ):
        kept = scores >= threshold
        assert precision == correct[kept].sum() / kept.sum()
        assert recall == correct[kept].sum() / 30


@given(scored, st.integers(1, 30), st.integers(1, 30))
def test_asking_for_more_recall_never_gives_more_precision(sample, a, b):
    less, more = (
        precision_at_recall(sample[0] / 8, sample[1], 30, recall=r / 30) for r in sorted((a, b))
    )

    assert more <= less


def test_calibration_by_hand():
    result = calibration(np.array([0.1, 0.2, 0.5, 1.0]), np.array([0.3, 0.5, 0.5, 0.8]), num_bins=2)

    # [0, .5): quality .15, IoU .4; [.5, 1]: quality .75, IoU .65. Gaps .25 and .1, two labels each.
    assert result.counts.tolist() == [2, 2]
    assert result.mean_quality.tolist() == pytest.approx([0.15, 0.75])
    assert result.mean_iou.tolist() == pytest.approx([0.4, 0.65])
    assert result.error == pytest.approx(0.175)


def test_an_empty_bin_is_nan_and_does_not_count():
    result = calibration(np.array([0.9, np.nan, 0.3]), np.array([0.9, 0.5, np.nan]), num_bins=2)

    assert result.counts.tolist() == [0, 1]
    assert math.isnan(result.mean_iou[0])
    assert result.error == 0


def test_a_quality_above_one_is_refused():
    with pytest.raises(ValueError, match="not in"):
        calibration(np.array([1.5]), np.array([0.5]))


pairs = st.integers(0, 30).flatmap(
    lambda n: hnp.arrays(np.int64, (2, n), elements=st.integers(0, 9))
)


@given(pairs)
@pytest.mark.filterwarnings("ignore")
def test_rank_correlation_equals_scipys(sample):
    left, right = sample / 9
    expected = spearmanr(left, right).statistic if len(left) > 1 else math.nan

    assert rank_correlation(left, right) == pytest.approx(expected, nan_ok=True, abs=1e-12)


def test_a_constant_quality_ranks_nothing():
    assert math.isnan(rank_correlation(np.array([0.5, 0.5]), np.array([0.1, 0.9])))
