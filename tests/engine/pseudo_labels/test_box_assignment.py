"""Which detection stands for which box, against values worked out by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from engine.pseudo_labels.box_assignment import match_detections


def test_detections_choose_in_the_order_of_their_scores():
    """F2: scores .6, .9, .7, .8 put detections 1, 3, 2, 0 in line; 1 takes GT 0, 2 takes GT 1."""
    ious = np.array([[0.85, 0.10], [0.80, 0.55], [0.20, 0.70], [0.45, 0.30]])
    line = [1, 3, 2, 0]

    matched = match_detections(ious[line])

    assert [line[one] for one in matched] == [1, 2]


def test_a_target_of_the_first_detection_cannot_be_taken_again():
    """The authors' code asks "index > 0", and detection 0 loses what it chose."""
    assert match_detections(np.array([[0.9], [0.95]])).tolist() == [0]


def test_a_detection_that_comes_too_late_takes_its_second_choice():
    assert match_detections(np.array([[0.9, 0.0], [0.8, 0.6]])).tolist() == [0, 1]


def test_an_overlap_at_the_threshold_is_enough_and_less_is_not():
    assert match_detections(np.array([[0.5]])).tolist() == [0]
    assert match_detections(np.array([[0.49]])).tolist() == [-1]


def test_without_detections_or_targets_nothing_is_matched():
    assert match_detections(np.zeros((0, 2))).tolist() == [-1, -1]
    assert match_detections(np.zeros((3, 0))).shape == (0,)


@given(
    arrays.arrays(
        np.float64, st.tuples(st.integers(0, 6), st.integers(0, 4)), elements=st.floats(0, 1)
    )
)
def test_no_detection_stands_for_two_targets(ious: np.ndarray):
    matched = match_detections(ious)
    given_away = matched[matched >= 0]

    assert len(set(given_away.tolist())) == len(given_away)
    assert all(ious[d, g] >= 0.5 for g, d in enumerate(matched) if d >= 0)
