"""Which truth a kept label takes."""

from __future__ import annotations

import numpy as np

from app.fiftyone.matching import Match, match_image
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
    return match_image(
        masks, np.array(classes, np.int64), scores, np.array(kept, np.bool_), of_kind, known
    )


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
