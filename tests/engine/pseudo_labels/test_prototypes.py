"""Prototypes: what they say of pixels, and how pixels move them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from engine.pseudo_labels.prototypes import (
    ClassPixels,
    Pace,
    Prototypes,
    cluster,
    kept_share,
    moved_toward,
    semantic_map,
    unit_features,
)

PACE = Pace(smoothness=0.05, steps=3, momentum=0.999, first_replaces=False, drawn=False)
THREE = torch.tensor([[[1.0, 0.0], [0.6, 0.8], [-0.8, 0.6]]])
"""I1: one class of three prototypes."""


def close(found: torch.Tensor, expected: list[list[float]] | list[float] | float) -> None:
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-6, rtol=0)


def pixel(*numbers: float) -> torch.Tensor:
    """(D, 1, 1)"""
    return torch.tensor(numbers)[:, None, None]


def loud(classes: int, each: int) -> torch.Tensor:
    return torch.zeros(classes, each, dtype=torch.bool)


@pytest.mark.parametrize(("temperature", "expected"), [(0.1, 0.999955), (None, 0.731059)])
def test_a_pixel_goes_by_its_most_alike_prototype(temperature: float | None, expected: float):
    """I1: cosines .6, 1, 0."""
    found = semantic_map(pixel(0.6, 0.8), THREE, loud(1, 3), temperature)

    close(found[0, 0, 0], expected)


def test_a_small_likeness_is_a_small_certainty():
    """I1: a best cosine of .2 is sigma(2)."""
    prototype = torch.tensor([[[1.0, 0.0]]])

    found = semantic_map(pixel(0.2, 0.96**0.5), prototype, loud(1, 1), 0.1)

    close(found[0, 0, 0], 0.880797)


def test_a_silent_prototype_has_no_say():
    silent = torch.tensor([[False, True, False]])

    close(semantic_map(pixel(0.6, 0.8), THREE, silent, None)[0, 0, 0], 0.645656)  # sigma(.6)


def test_a_cluster_is_the_direction_of_its_sum():
    """I3: sums (1.8, .6) and (0, 1)."""
    pixels = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])

    centroids, counts = cluster(pixels, torch.tensor([0, 0, 1]), 3)

    close(centroids, [[0.948683, 0.316228], [0.0, 1.0], [0.0, 0.0]])
    assert counts.tolist() == [2, 1, 0]


def test_prototypes_move_a_little_and_stay_unit_vectors():
    """I3: before the last step (.000949, .999316) and (.999, .001)."""
    old = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.6, 0.8]])
    centroids = torch.tensor([[0.948683, 0.316228], [0.0, 1.0], [0.0, 0.0]])

    new = moved_toward(old, centroids, torch.tensor([2, 1, 0]), torch.full((3,), 0.999))

    close(new, [[0.000949, 1.000000], [0.999999, 0.001001], [0.6, 0.8]])


def test_the_first_pixels_replace_a_random_start_if_so_wanted():
    moves = torch.tensor([0, 1, 9, 5000])

    close(kept_share(moves, 0.999, first_replaces=True), [0.0, 0.5, 0.9, 0.999])
    close(kept_share(moves, 0.999, first_replaces=False), [0.999] * 4)


def started(classes: int = 3, each: int = 2, size: int = 4) -> Prototypes:
    torch.manual_seed(0)
    prototypes = Prototypes()
    prototypes.start(classes, each, size, torch.device("cpu"))
    return prototypes


def image(labels: list[int], side: int = 6, size: int = 4) -> ClassPixels:
    """Random features; every object has its own row of pixels."""
    features = functional.normalize(torch.randn(size, side, side), dim=0)
    masks = torch.zeros(len(labels), side, side, dtype=torch.bool)
    for row in range(len(labels)):
        masks[row, row] = True
    return ClassPixels(features, masks, torch.tensor(labels, dtype=torch.int64))


def test_only_classes_with_pixels_move_and_moves_are_counted():
    prototypes = started()
    before = prototypes.directions.clone()

    prototypes.learn([image([0, 0]), image([0])], PACE)

    assert torch.equal(prototypes.directions[1:], before[1:])
    assert not torch.equal(prototypes.directions[0], before[0])
    assert prototypes.moves.tolist() == [[2, 2], [0, 0], [0, 0]]
    assert prototypes.known(torch.tensor([0, 1]), 2).tolist() == [True, False]
    assert prototypes.known(torch.tensor([0, 1]), 3).tolist() == [False, False]
    assert prototypes.known(torch.tensor([0, 1]), 0).tolist() == [True, False]


def test_no_object_and_an_empty_mask_move_nothing():
    prototypes = started()
    before = prototypes.directions.clone()
    empty = image([2])._replace(masks=torch.zeros(1, 6, 6, dtype=torch.bool))

    prototypes.learn([image([]), empty], PACE)

    assert torch.equal(prototypes.directions, before)
    assert prototypes.moves.sum() == 0
    assert prototypes.maps(image([]).features, torch.zeros(0, dtype=torch.int64), 0.1).shape == (
        0,
        6,
        6,
    )


def test_a_single_pixel_moves_a_single_prototype():
    prototypes = started(each=5)
    one = image([1])
    one.masks[0] = False
    one.masks[0, 2, 3] = True

    prototypes.learn([one], PACE)

    assert prototypes.moves[1].sum() == 1


@settings(deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(0, 2), max_size=5), st.booleans(), st.booleans())
def test_prototypes_are_unit_vectors_after_every_batch(
    seed: int, labels: list[int], first: bool, drawn: bool
):
    prototypes = started()
    torch.manual_seed(seed)

    prototypes.learn([image(labels)], PACE._replace(first_replaces=first, drawn=drawn))

    lengths = prototypes.directions.norm(dim=2)
    torch.testing.assert_close(lengths, torch.ones(3, 2), atol=1e-6, rtol=0)


def test_objects_of_one_class_share_one_map():
    prototypes = started()
    shown = image([0, 2, 0])
    prototypes.learn([shown], PACE)

    maps = prototypes.maps(shown.features, shown.labels, 0.1)

    assert maps.shape == (3, 6, 6)
    assert torch.equal(maps[0], maps[2])
    assert not torch.equal(maps[0], maps[1])
    assert ((maps > 0) & (maps < 1)).all()


def test_pixels_that_were_learnt_look_more_like_their_class_than_others_do():
    """Class 0 is along the first axis, class 1 along the second."""
    prototypes = started(classes=2, size=2)
    features = torch.zeros(2, 2, 2)
    features[0, 0], features[1, 1] = 1.0, 1.0
    masks = torch.tensor([[[True, True], [False, False]], [[False, False], [True, True]]])
    for _ in range(3):
        prototypes.learn(
            [ClassPixels(features, masks, torch.tensor([0, 1]))], PACE._replace(first_replaces=True)
        )

    maps = prototypes.maps(features, torch.tensor([0, 1]), 0.1)

    assert maps[0, 0].min() > 0.999 > 0.51 > maps[0, 1].max()
    assert maps[1, 1].min() > 0.999 > 0.51 > maps[1, 0].max()


def test_what_was_remembered_comes_back_and_another_shape_starts_anew():
    prototypes = started()
    prototypes.learn([image([0, 1])], PACE)
    again = Prototypes()
    again.load_state_dict(prototypes.state_dict())

    again.start(3, 2, 4, torch.device("cpu"))
    assert torch.equal(again.directions, prototypes.directions)
    assert torch.equal(again.moves, prototypes.moves)

    again.start(3, 5, 4, torch.device("cpu"))
    assert again.directions.shape == (3, 5, 4)
    assert again.moves.sum() == 0


def test_features_are_enlarged_to_the_cells_of_masks_and_have_length_one():
    features = unit_features(torch.randn(2, 3, 4, 5), 8, 10)

    assert features.shape == (2, 3, 8, 10)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(2, 8, 10))
    assert unit_features(torch.randn(2, 3, 4, 5), 4, 5).shape == (2, 3, 4, 5)
