"""Pseudo-labels against the hidden truth of their image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from analysis_scenes import BEAR, CAR, DOG, annotation, block, dataset, encode, image, pseudo_labels
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lab.analysis.judge import build_judge
from lab.datasets.records import ErrorKind

LEFT, RIGHT = block((0, 0, 6, 6)), block((12, 0, 18, 6))
COR, LOC, SIM, OTH, BG = ErrorKind.COR, ErrorKind.LOC, ErrorKind.SIM, ErrorKind.OTH, ErrorKind.BG


def test_each_label_gets_its_kind_iou_and_truth():
    judge = build_judge(dataset(image(7, annotation(41, BEAR, LEFT), annotation(42, CAR, RIGHT))))
    half = block((0, 0, 6, 2))  # 12 of 36 pixels

    labels = judge(pseudo_labels(7, [BEAR, BEAR, DOG, BEAR], [LEFT, half, LEFT, RIGHT]))

    assert labels.kinds is not None and labels.kinds.tolist() == [COR, LOC, SIM, OTH]
    assert labels.gt_ids is not None and labels.gt_ids.tolist() == [41, 41, 41, 42]
    assert labels.true_ious is not None
    assert labels.true_ious.tolist() == pytest.approx([1, 1 / 3, 1, 1])
    assert labels.true_ious.dtype == np.float32
    assert (labels.num_truths, labels.missed) == (2, 1)


def test_dropped_labels_do_not_find_a_truth():
    judge = build_judge(dataset(image(7, annotation(1, BEAR, LEFT))))

    labels = judge(pseudo_labels(7, [BEAR], [LEFT], kept=[False]))

    assert labels.kinds is not None and labels.kinds.tolist() == [COR]
    assert labels.missed == 1


def test_kept_labels_compete_among_themselves_and_dropped_ones_with_all():
    judge = build_judge(dataset(image(7, annotation(1, BEAR, LEFT))))

    labels = judge(
        pseudo_labels(
            7,
            [BEAR] * 4,
            [LEFT] * 4,
            scores=[0.9, 0.8, 0.7, 0.6],
            kept=[False, True, True, False],
        )
    )

    assert labels.duplicates is not None
    assert labels.duplicates.tolist() == [False, False, True, True]
    assert labels.missed == 0


def test_only_the_visible_part_of_a_truth_counts():
    """The view shows columns 3.. of a 6x6 bear: a label of that half is exactly right."""
    judge = build_judge(dataset(image(7, annotation(1, BEAR, LEFT), annotation(2, CAR, RIGHT))))

    labels = judge(pseudo_labels(7, [BEAR], [block((3, 0, 6, 6))], visible=(3, 0, 12, 20)))

    assert labels.true_ious is not None and labels.true_ious.tolist() == [1]
    assert (labels.num_truths, labels.missed) == (1, 0)


def test_a_truth_with_fewer_than_five_visible_pixels_does_not_count():
    tall = block((0, 0, 1, 6))
    judge = build_judge(dataset(image(7, annotation(1, BEAR, tall))))

    assert judge(pseudo_labels(7, [], [], visible=(0, 0, 20, 4))).num_truths == 0
    assert judge(pseudo_labels(7, [], [], visible=(0, 0, 20, 5))).num_truths == 1


def test_crowds_are_not_counted_as_truths():
    crowd = annotation(2, BEAR, block((0, 10, 20, 20)), is_crowd=True)
    judge = build_judge(dataset(image(7, annotation(1, BEAR, LEFT), crowd)))

    labels = judge(pseudo_labels(7, [BEAR], [block((2, 12, 5, 15))]))

    assert labels.kinds is not None and labels.kinds.tolist() == [ErrorKind.IGNORED]
    assert labels.num_truths == 1


def test_an_image_the_dataset_does_not_hold_stays_unknown():
    judge = build_judge(dataset(image(7, annotation(1, BEAR, LEFT))))

    labels = judge(pseudo_labels(8, [BEAR], [LEFT]))

    assert labels.kinds is not None and labels.kinds.tolist() == [ErrorKind.UNKNOWN]
    assert labels.true_ious is not None and np.isnan(labels.true_ious).all()
    assert labels.gt_ids is not None and labels.gt_ids.tolist() == [-1]
    assert labels.num_truths is None and labels.missed is None


def test_an_unlabelled_dataset_knows_no_truth():
    assert build_judge(dataset(image(7)))(pseudo_labels(7, [BEAR], [LEFT])).num_truths is None


def test_boxes_alone_are_no_truth_for_masks():
    judge = build_judge(dataset(image(7, annotation(1, BEAR, None))))

    assert judge(pseudo_labels(7, [BEAR], [LEFT])).num_truths is None


def test_in_a_labelled_dataset_an_image_without_objects_is_a_true_negative():
    judge = build_judge(dataset(image(7), image(8, annotation(1, BEAR, LEFT))))

    labels = judge(pseudo_labels(7, [BEAR], [LEFT]))

    assert labels.kinds is not None and labels.kinds.tolist() == [BG]
    assert labels.gt_ids is not None and labels.gt_ids.tolist() == [-1]
    assert (labels.num_truths, labels.missed) == (0, 0)


def test_no_label_at_all_misses_every_truth():
    judge = build_judge(dataset(image(7, annotation(1, BEAR, LEFT))))

    labels = judge(pseudo_labels(7, [], []))

    assert labels.kinds is not None and labels.kinds.shape == (0,)
    assert (labels.num_truths, labels.missed) == (1, 1)


def test_a_label_of_another_size_is_refused_by_name():
    judge = build_judge(dataset(image(7, annotation(1, BEAR, LEFT))))

    with pytest.raises(ValueError, match=r"pseudo-label 0 of image 7: mask is 10x10"):
        judge(pseudo_labels(7, [BEAR], [block((0, 0, 4, 4), size=10)]))


def test_judging_changes_nothing_else():
    judge = build_judge(dataset(image(7, annotation(1, BEAR, LEFT))))
    before = pseudo_labels(7, [BEAR], [LEFT])

    after = judge(before)

    blank = dict.fromkeys(
        ["kinds", "true_ious", "gt_ids", "duplicates", "num_truths", "missed"], None
    )
    assert replace(after, **blank) == before


objects = st.lists(
    st.tuples(st.integers(0, 2), hnp.arrays(np.bool_, (20, 20), fill=st.booleans())), max_size=6
)


@given(objects)
def test_truth_given_as_prediction_has_no_error(found):
    truths = [annotation(i, label, encode(mask)) for i, (label, mask) in enumerate(found)]
    judge = build_judge(dataset(image(7, *truths), image(8, annotation(99, CAR, LEFT))))
    large = [one for one in truths if one.area >= 5]

    labels = judge(pseudo_labels(7, [a.label for a in large], [a.mask for a in large if a.mask]))

    assert labels.kinds is not None and set(labels.kinds.tolist()) <= {COR}
    assert labels.duplicates is not None and not labels.duplicates.any()
    assert (labels.num_truths, labels.missed) == (len(large), 0)
