"""Which truth a kept label takes."""

from __future__ import annotations

import numpy as np
import pytest

from app.fiftyone.matching import Match, kept_ious, match_image, recorded_ious
from lab.analysis.truth import ImageTruth
from lab.datasets.records import ErrorKind, Rle
from lab.datasets.rle import encode

CAT, DOG = 0, 1


def square(x: int, y: int, side: int = 10) -> Rle:
    mask = np.zeros((40, 40), np.bool_)
    mask[y : y + side, x : x + side] = True
    return encode(mask)


def truth(*classes: int, crowd: tuple[bool, ...] = ()) -> ImageTruth:
    """Objects 7, 8, ... in squares side by side."""
    masks = tuple(square(12 * place, 0) for place in range(len(classes)))
    flags = np.array(crowd or [False] * len(classes), np.bool_)
    ids = 7 + np.arange(len(classes))
    return ImageTruth(ids, np.array(classes), flags, np.full(len(classes), 100), masks)


def matched(masks: list[Rle], classes: list[int], known: ImageTruth, kept: list[bool], kinds=None):
    count = len(masks)
    scores = np.linspace(0.9, 0.5, count)
    of_kind = np.array(kinds or [ErrorKind.COR] * count, np.int64)
    chosen = np.array(kept, np.bool_)
    unused = np.zeros(int(chosen.sum()))
    there = [mask for mask, one in zip(masks, kept, strict=True) if one]
    ious = kept_ious(there, of_kind[chosen], unused.astype(np.int64), unused, known)
    assert ious is not None
    return match_image(ious, np.array(classes, np.int64), scores, chosen, of_kind, known)


def test_a_right_label_and_its_truth_find_each_other():
    found = matched([square(12, 0)], [DOG], truth(CAT, DOG), [True])

    assert found.labels == {0: Match("tp", 8, 1.0)}
    assert found.truths == {7: Match("fn", -1, 0.0), 8: Match("tp", 0, 1.0)}


def test_a_dropped_label_takes_no_truth():
    found = matched([square(0, 0)], [CAT], truth(CAT), [False])

    assert found.labels == {}
    assert found.truths == {7: Match("fn", -1, 0.0)}


def test_a_label_of_the_wrong_class_stands_against_what_it_was_taken_for():
    found = matched([square(0, 0)], [DOG], truth(CAT), [True])

    assert found.labels == {0: Match("fp", 7, 1.0)}
    assert found.truths == {7: Match("fn", 0, 1.0)}


def test_the_second_of_two_takes_nothing():
    found = matched([square(0, 0), square(0, 0)], [CAT, CAT], truth(CAT), [True, True])

    assert [found.labels[place].verdict for place in (0, 1)] == ["tp", "fp"]


def test_a_label_on_a_crowd_is_neither_right_nor_wrong():
    found = matched([square(0, 0)], [CAT], truth(CAT, crowd=(True,)), [True], [ErrorKind.IGNORED])

    assert found.labels == {} and found.truths == {}


def test_an_image_without_labels_misses_everything():
    found = matched([], [], truth(CAT, DOG), [])

    assert [one.verdict for one in found.truths.values()] == ["fn", "fn"]


def test_without_its_mask_a_label_has_the_iou_that_was_recorded():
    kinds = np.array([ErrorKind.COR, ErrorKind.SIM, ErrorKind.BG, ErrorKind.LOC])
    ids, ious = np.array([8, 7, -1, 99]), np.array([0.9, 0.6, np.nan, 0.3], np.float32)

    found = recorded_ious(kinds, ids, ious, truth(CAT, DOG))

    assert found == pytest.approx(np.array([[0, 0.9], [0.6, 0], [0, 0], [0, 0]]))


def test_a_hit_that_32_bits_round_below_the_bar_stays_one():
    almost = np.array([np.nextafter(np.float32(0.5), np.float32(0))])

    right = recorded_ious(np.array([ErrorKind.COR]), np.array([7]), almost, truth(CAT))
    poor = recorded_ious(np.array([ErrorKind.LOC]), np.array([7]), almost, truth(CAT))

    assert right[0, 0] == 0.5
    assert poor[0, 0] < 0.5


def test_labels_without_masks_that_nobody_judged_match_nothing():
    unknown, ids, ious = np.array([ErrorKind.UNKNOWN]), np.array([-1]), np.array([np.nan])

    assert kept_ious([None], unknown, ids, ious, truth(CAT)) is None
