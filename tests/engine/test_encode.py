"""Candidates leave the engine as records in the image frame, with all that is known about them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from engine.encode import detach_for_recording, encode, encode_masks, to_image_frame
from engine.instances import Predictions
from engine.interfaces import BoxScores, Candidates, ViewGeometry
from lab.datasets.records import DropRule, LabelSource

WHOLE = ViewGeometry(4, 6, False, 1.0, 1.0, 0, 0, 4, 6)
FLIPPED_CROP = ViewGeometry(4, 6, True, 2.0, 2.0, 0, 4, 8, 8)
"""The doubled image is 12 wide; the view shows its flipped columns 4..12."""


def candidates(geometry: ViewGeometry, logits: torch.Tensor, **changes: torch.Tensor) -> Candidates:
    """As many as there are mask logits; qualities fall from 7/8 in eighths."""
    count = len(logits)
    falling = 0.875 - torch.arange(count) / 8
    unknown = torch.full((count,), math.nan)
    columns = {
        "labels": torch.arange(count) + 1,
        "mask_quality": torch.full((count,), 0.5),
        "kept": torch.arange(count) % 2 == 0,
        "rules": torch.where(torch.arange(count) % 2 == 0, DropRule.KEPT, DropRule.MASK_QUALITY),
        "rule_values": unknown,
        "teacher_before": falling,
        "teacher_after": falling,
        "clip_before": unknown,
        "clip_after": unknown,
        "fused": unknown,
        "uncertainty": torch.full((count,), 0.25),
        "weights": torch.ones(count),
    }
    boxes = torch.tensor([[1.0, 0.0, 3.0, 2.0]]).repeat(count, 1)
    labels = torch.arange(count)
    predictions = Predictions(boxes, falling, labels, falling, torch.zeros(count, 3), logits)
    return Candidates(7, LabelSource.PSEUDO, geometry, predictions, **(columns | changes))


def logits(*corners: tuple[int, int, int, int], height: int = 32, width: int = 32) -> torch.Tensor:
    """Sure rectangles (top, left, bottom, right) on an unsure background."""
    made = torch.full((len(corners), height, width), -3.0)
    for one, (top, left, bottom, right) in zip(made, corners, strict=True):
        one[top:bottom, left:right] = 5.0
    return made


def decoded(label) -> np.ndarray:
    return np.stack([coco_mask.decode(one.as_coco()) for one in label.masks]).astype(bool)


def test_a_mask_comes_back_to_the_image_without_the_padding():
    found = candidates(WHOLE, logits((1, 2, 3, 4), (0, 0, 32, 32)))

    (label,) = encode([found], 0.0)

    expected = np.zeros((2, 4, 6), dtype=bool)
    expected[0, 1:3, 2:4] = True
    expected[1] = True
    assert np.array_equal(decoded(label), expected)
    assert label.areas.tolist() == [4, 24]
    assert label.visible is None


def test_a_flipped_enlarged_crop_is_undone():
    # View columns 0..4 are flipped columns 4..8, halved 2..4, mirrored in 6: columns 2..4.
    found = candidates(FLIPPED_CROP, logits((2, 0, 8, 4)))

    (label,) = encode([found], 0.0)

    expected = np.zeros((1, 4, 6), dtype=bool)
    expected[0, 1:4, 2:4] = True
    assert np.array_equal(decoded(label), expected)
    # Box x 1..3 -> 5..7 -> 2.5..3.5 -> mirrored 2.5..3.5; y 0..2 -> 0..1.
    assert label.boxes.tolist() == [[2.5, 0, 3.5, 1]]
    assert label.visible == (0, 0, 4, 4)


def test_only_candidates_under_the_floor_are_left_out_and_the_order_stays():
    found = candidates(WHOLE, logits(*[(0, 0, row, 3) for row in (1, 2, 3)]))

    (label,) = encode([found], 0.75)

    # Qualities are 7/8, 6/8, 5/8; the floor itself stays in.
    assert label.class_quality.tolist() == [0.875, 0.75]
    assert label.areas.tolist() == [3, 6]


def test_every_number_arrives_in_its_column():
    found = candidates(
        WHOLE,
        logits((0, 0, 2, 2), (0, 0, 1, 1)),
        clip_before=torch.tensor([0.1, 0.2]),
        clip_after=torch.tensor([0.3, 0.4]),
        teacher_before=torch.tensor([0.5, 0.6]),
        teacher_after=torch.tensor([0.7, 0.8]),
        rule_values=torch.tensor([math.nan, 0.95]),
    )

    (label,) = encode([found], 0.0)

    assert (label.image_id, label.source) == (7, LabelSource.PSEUDO)
    assert label.labels.tolist() == [1, 2] and label.labels_before.tolist() == [0, 1]
    assert label.kept.tolist() == [True, False]
    assert label.rules.tolist() == [DropRule.KEPT, DropRule.MASK_QUALITY]
    np.testing.assert_allclose(label.rule_values, [math.nan, 0.95])
    np.testing.assert_allclose(label.mask_quality, 0.5)
    np.testing.assert_allclose(label.score, [0.4375, 0.375])
    np.testing.assert_allclose(label.teacher_before, [0.5, 0.6])
    np.testing.assert_allclose(label.teacher_after, [0.7, 0.8])
    np.testing.assert_allclose(label.clip_before, [0.1, 0.2])
    np.testing.assert_allclose(label.clip_after, [0.3, 0.4])
    np.testing.assert_allclose(label.uncertainty, 0.25)
    np.testing.assert_allclose(label.weights, 1)
    assert label.labels.dtype == np.int64 and label.rules.dtype == np.int64
    assert label.kept.dtype == np.bool_ and label.score.dtype == np.float32


def test_an_image_without_candidates_is_recorded_as_such():
    (none,) = encode([candidates(WHOLE, logits())], 0.0)
    (none_good,) = encode([candidates(WHOLE, logits((0, 0, 2, 2)))], 0.95)

    assert len(none) == 0 and len(none_good) == 0
    assert none.boxes.shape == (0, 4) and none.masks == ()
    assert encode([], 0.0) == []


def test_an_empty_mask_has_no_area_but_keeps_its_place():
    (label,) = encode([candidates(WHOLE, logits((0, 0, 0, 0), (0, 0, 1, 1)))], 0.0)

    assert label.areas.tolist() == [0, 1]
    assert len(label.masks) == 2


def test_encoding_now_or_after_detaching_is_the_same():
    found = [candidates(WHOLE, logits((1, 2, 3, 4))), candidates(FLIPPED_CROP, logits())]

    now = encode(found, 0.0)
    later = encode(detach_for_recording(found), 0.0)

    assert [one.masks for one in now] == [one.masks for one in later]
    assert [one.boxes.tolist() for one in now] == [one.boxes.tolist() for one in later]


def test_what_is_detached_does_not_change_with_the_network():
    found = candidates(WHOLE, logits((1, 2, 3, 4)))
    detached = detach_for_recording([found])

    found.predictions.mask_logits.fill_(9)
    found.predictions.boxes.zero_()
    found.mask_quality.zero_()

    (label,) = encode(detached, 0.0)
    assert label.areas.tolist() == [4]
    assert label.boxes.tolist() == [[1, 0, 3, 2]]
    assert label.mask_quality.tolist() == [0.5]


def test_half_precision_and_thresholded_masks_are_taken():
    exact = candidates(WHOLE, logits((1, 2, 3, 4)))
    half = candidates(WHOLE, logits((1, 2, 3, 4)).bfloat16(), weights=torch.ones(1).bfloat16())
    boolean = candidates(WHOLE, logits((1, 2, 3, 4)) > 0)

    expected, *others = encode([exact, half, boolean], 0.0)

    assert all(other.masks == expected.masks for other in others)


@given(st.integers(0, 5), st.integers(1, 40), st.integers(1, 40), st.integers(0, 100))
@settings(deadline=None)
def test_masks_are_encoded_as_pycocotools_does(count, height, width, seed):
    masks = np.random.default_rng(seed).random((count, height, width)) < 0.3

    made = encode_masks(masks)

    columns_first = np.asfortranarray(masks.transpose(1, 2, 0).astype(np.uint8))
    expected = coco_mask.encode(columns_first) if count else []
    assert [one.counts for one in made] == [one["counts"] for one in expected]
    assert all((one.height, one.width) == (height, width) for one in made)


def test_predictions_are_evaluated_in_the_image_frame():
    found = candidates(FLIPPED_CROP, logits((2, 0, 8, 4)))

    made = to_image_frame(7, found.predictions, FLIPPED_CROP)

    assert made.image_id == 7
    assert made.masks == encode([found], 0.0)[0].masks
    np.testing.assert_allclose(made.scores, [0.875])
    assert made.labels.tolist() == [0]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_candidates_on_a_gpu_give_the_same_records():
    found = candidates(WHOLE, logits((1, 2, 3, 4), (0, 0, 2, 2)))
    tensors = {k: v.cuda() for k, v in vars(found).items() if isinstance(v, torch.Tensor)}
    there = Candidates(**{**vars(found), **tensors, "predictions": found.predictions.to("cuda")})

    (here,), (copied,) = encode([found], 0.0), encode(detach_for_recording([there]), 0.0)

    assert copied.masks == here.masks
    assert copied.boxes.tolist() == here.boxes.tolist()


def test_a_mask_of_coarse_cells_is_enlarged_and_ends_at_its_box():
    """A 2 x 3 map at stride 2, all foreground; the box leaves columns 1..3 of rows 0..2."""
    coarse = torch.full((1, 2, 3), 5.0)
    found = replace(
        candidates(WHOLE, coarse),
        mask_stride=2,
        confines=torch.tensor([[1.0, 0.0, 4.0, 3.0]]),
    )

    (label,) = encode([found], 0.0)

    expected = np.zeros((1, 4, 6), dtype=bool)
    expected[0, 0:3, 1:4] = True
    assert np.array_equal(decoded(label), expected)


def test_a_single_mask_travels_beside_the_fused_one_in_the_same_frame():
    """Enlarged, confined, flipped back and left out where its label is, exactly like that."""
    fused, single = (
        logits((0, 0, 2, 2), (0, 0, 4, 4), height=4, width=4),
        logits((0, 1, 4, 3), (1, 0, 2, 2), height=4, width=4),
    )
    found = replace(
        candidates(FLIPPED_CROP, fused),
        mask_stride=2,
        confines=torch.tensor([[1.0, 0.0, 7.0, 6.0], [0.0, 0.0, 3.0, 8.0]]),
        box_scores=BoxScores.of(torch.tensor([0, 1])),
        annotation_ids=(5, 6),
        single_logits=single,
    )
    own = replace(
        found, single_logits=None, predictions=replace(found.predictions, mask_logits=single)
    )

    (label,), (alone,) = encode([found], 0.0), encode([own], 0.0)
    (first,) = encode([found], 0.8)

    assert label.box_scores.single_masks == alone.masks != label.masks
    assert alone.box_scores.single_masks is None
    assert first.box_scores.single_masks == alone.masks[:1]


def test_a_mask_made_of_a_box_names_the_annotation_and_ids_stay_exact():
    """Ids above 2^24 do not fit float32, in which the numbers travel."""
    scores = BoxScores.of(torch.tensor([1, 0]), mask_score=torch.tensor([0.25, 0.5]))
    found = replace(
        candidates(WHOLE, logits((0, 0, 2, 2), (0, 0, 1, 1))),
        box_scores=scores,
        annotation_ids=(900_100_002_299, 900_100_002_301),
    )

    (label,) = encode([found], 0.0)

    assert label.box_scores.target_ids.tolist() == [900_100_002_301, 900_100_002_299]
    assert label.box_scores.mask_score.tolist() == [0.25, 0.5]
    assert np.isnan(label.box_scores.depth_score).all()
    assert encode([candidates(WHOLE, logits((0, 0, 2, 2)))], 0.0)[0].box_scores is None
