"""Mask IoU from RLEs, and the visible part of a truth."""

from __future__ import annotations

import numpy as np
import pytest
from analysis_scenes import BEAR, DOG, annotation, block, decode, encode, image
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lab.analysis.match import mask_ious, pairs
from lab.analysis.rle import rectangle
from lab.analysis.truth import image_truth, visible_truth
from lab.datasets.rle import areas as mask_areas

NO_CROWD = np.zeros(1, np.bool_)


def test_iou_is_intersection_over_union_of_pixels():
    # 4x4 and 4x4 shifted by two columns: 8 shared, 24 in all.
    ious = mask_ious([block((0, 0, 4, 4))], [block((2, 0, 6, 4))], NO_CROWD)

    assert ious.tolist() == [[8 / 24]]


def test_against_a_crowd_only_the_prediction_counts():
    ious = mask_ious([block((0, 0, 4, 4))], [block((2, 0, 20, 20))], np.array([True]))

    assert ious.tolist() == [[8 / 16]]


def test_an_iou_of_exactly_one_tenth_reaches_the_threshold():
    # 1 pixel inside a row of 10.
    ious = mask_ious([block((0, 0, 1, 1))], [block((0, 0, 10, 1))], NO_CROWD)

    assert pairs(ious, 0.1).iou.tolist() == [0.1]


def test_pairs_are_those_that_reach_the_threshold_row_by_row():
    found = pairs(np.array([[0.05, 0.2], [0.0, 0.09], [0.1, 0.7]]))

    assert found.pred_index.tolist() == [0, 2, 2]
    assert found.gt_index.tolist() == [1, 0, 1]
    assert found.iou.tolist() == [0.2, 0.1, 0.7]


@pytest.mark.parametrize(("preds", "truths"), [(0, 0), (0, 2), (2, 0)])
def test_no_masks_on_a_side_give_an_empty_matrix(preds, truths):
    one = block((0, 0, 4, 4))

    ious = mask_ious([one] * preds, [one] * truths, np.zeros(truths, np.bool_))

    assert ious.shape == (preds, truths)


def test_an_empty_mask_overlaps_nothing_not_even_itself():
    empty = block((0, 0, 0, 0))

    assert mask_ious([empty], [empty], NO_CROWD).tolist() == [[0.0]]


def test_an_image_may_hold_more_than_255_masks():
    many = [block((0, 0, 2, 3))] * 300

    assert mask_areas(many).tolist() == [6] * 300
    assert mask_ious(many, many, np.zeros(300, np.bool_)).shape == (300, 300)


def test_no_masks_have_no_areas():
    assert mask_areas([]).shape == (0,)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match="mask of prediction 0 is 10x10"):
        mask_ious([block((0, 0, 4, 4), size=10)], [block((0, 0, 4, 4))], NO_CROWD)


masks = hnp.arrays(np.bool_, (7, 5))


@given(st.lists(masks, max_size=3), st.lists(masks, max_size=3), st.data())
def test_iou_equals_that_of_dense_masks(preds, truths, data):
    crowd = data.draw(hnp.arrays(np.bool_, len(truths)))
    ious = mask_ious([encode(p) for p in preds], [encode(t) for t in truths], crowd)

    for i, pred in enumerate(preds):
        for j, truth in enumerate(truths):
            whole = pred.sum() if crowd[j] else (pred | truth).sum()
            assert ious[i, j] == ((pred & truth).sum() / whole if whole else 0)


edges = st.floats(-3, 12, allow_nan=False)


@given(st.tuples(edges, edges, edges, edges))
def test_a_rectangle_holds_the_pixels_with_their_centre_inside(box):
    x, y = np.meshgrid(np.arange(5) + 0.5, np.arange(7) + 0.5)
    inside = (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])

    assert (decode(rectangle(7, 5, box)) == inside).all()


@given(masks, st.tuples(edges, edges, edges, edges))
def test_a_clipped_truth_equals_the_dense_one(dense, box):
    record = image(1, annotation(1, BEAR, encode(dense)))
    clipped = visible_truth(image_truth(_sized(record, 7, 5)), box, min_area=1)

    expected = dense & decode(rectangle(7, 5, box))
    assert clipped.areas.tolist() == ([int(expected.sum())] if expected.any() else [])
    assert all((decode(mask) == expected).all() for mask in clipped.masks)


def _sized(record, height, width):
    return type(record)(record.image_id, record.path, height, width, record.annotations)


def test_truth_comes_in_the_order_of_annotation_ids():
    one = block((0, 0, 4, 4))
    truth = image_truth(image(1, annotation(9, DOG, one), annotation(2, BEAR, one)))

    assert truth.ids.tolist() == [2, 9]
    assert truth.labels.tolist() == [BEAR, DOG]


def test_truth_below_the_smallest_area_is_left_out():
    small, large = block((0, 0, 2, 2)), block((0, 0, 5, 1))
    truth = image_truth(image(1, annotation(1, BEAR, small), annotation(2, BEAR, large)))

    assert visible_truth(truth, None, min_area=5).ids.tolist() == [2]


def test_truth_of_another_size_than_its_image_is_refused():
    wrong = image(7, annotation(3, BEAR, block((0, 0, 4, 4), size=10)))

    with pytest.raises(ValueError, match=r"annotation 3 of image 7: mask is 10x10.* 20x20"):
        image_truth(wrong)


def test_truth_without_a_mask_is_refused():
    with pytest.raises(ValueError, match="annotation 3 of image 7 has no mask"):
        image_truth(image(7, annotation(3, BEAR, None)))
