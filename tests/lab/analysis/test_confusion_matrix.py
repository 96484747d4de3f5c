"""Which class is taken for which."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from test_error_kinds import scenes

from lab.analysis.confusion import class_pairs, confusion_matrix
from lab.analysis.errors import classify
from lab.datasets.records import ErrorKind

BEAR, DOG, CAR = range(3)


def matrix(ious, preds, truths, *, scores=None, crowd=None):
    found = class_pairs(
        np.array(ious, np.float64).reshape(len(preds), len(truths)),
        np.array(preds, np.int64),
        np.array(truths, np.int64),
        np.array([0.5] * len(preds) if scores is None else scores),
        np.array([False] * len(truths) if crowd is None else crowd, np.bool_),
    )
    return confusion_matrix(found.pred_classes, found.gt_classes, 3).tolist()


def test_rows_are_predicted_and_columns_true():
    counts = matrix([[0.9, 0.0], [0.0, 0.8]], [BEAR, BEAR], [BEAR, DOG])

    assert counts == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_what_matches_nothing_is_background_or_missed():
    counts = matrix([[0.4]], [CAR], [DOG])

    assert counts == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]]


def test_the_right_class_goes_first_even_with_a_lower_score():
    counts = matrix([[0.9], [0.6]], [DOG, BEAR], [BEAR], scores=[0.9, 0.3])

    assert counts[BEAR] == [1, 0, 0, 0]
    assert counts[DOG] == [0, 0, 0, 1]


def test_a_prediction_on_a_crowd_is_left_out():
    assert np.sum(matrix([[0.9]], [DOG], [BEAR], crowd=[True])) == 0


def test_nothing_at_all_is_a_matrix_of_zeros():
    assert np.array(matrix([], [], [])).shape == (4, 4)
    assert np.sum(matrix([], [], [])) == 0


def test_a_class_out_of_range_is_refused():
    with pytest.raises(ValueError, match="gt_classes: class 3 is not in"):
        confusion_matrix(np.array([0]), np.array([3]), 3)


@given(scenes())
def test_the_diagonal_holds_the_found_truths_and_the_columns_all_of_them(scene):
    arguments = {k: v for k, v in scene.items() if k != "supercategory"}
    found = class_pairs(**arguments)
    counts = confusion_matrix(found.pred_classes, found.gt_classes, 4)
    verdict = classify(**scene)

    firsts = (verdict.kinds == ErrorKind.COR) & ~verdict.duplicates
    assert np.trace(counts[:4, :4]) == firsts.sum()
    truths = np.bincount(scene["gt_labels"][~scene["is_crowd"]], minlength=4)
    assert counts[:, :4].sum(axis=0).tolist() == truths.tolist()
    assert counts[:4].sum() <= len(scene["pred_labels"])
