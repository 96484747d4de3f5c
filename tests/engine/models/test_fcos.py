"""Who must find what: the assignment of locations to objects."""

import torch

from engine.models.fcos import (
    INFINITE,
    assign,
    box_centers,
    build_locations,
    decode_boxes,
    mask_centers,
    spread_evenly,
)

ONE_LEVEL = ((-1.0, INFINITE),)


def one_level(size: int = 64, stride: int = 8, ranges=ONE_LEVEL):
    cells = size // stride
    return build_locations([(cells, cells)], [stride], ranges, [64.0], torch.device("cpu"))


def test_locations_lie_in_the_middle_of_their_cells():
    locations = build_locations([(2, 3)], [8], ONE_LEVEL, [64.0], torch.device("cpu"))

    assert locations.points.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]


def test_only_locations_near_the_centre_are_positive():
    """A 48 px box around (32, 32): within 1.5 * 8 = 12 px, strictly, lie 28 and 36."""
    locations = one_level()
    boxes = torch.tensor([[8.0, 8.0, 56.0, 56.0]])

    owner, distances = assign(locations, boxes, box_centers(boxes))

    positive = locations.points[owner == 0]
    assert sorted(map(tuple, positive.tolist())) == [(28, 28), (28, 36), (36, 28), (36, 36)]
    assert distances[owner == 0][0].tolist() == [20, 20, 28, 28]


def test_the_centre_region_is_clipped_to_the_box():
    """A box thinner than the region: its own sides bound it, strictly."""
    locations = one_level()
    boxes = torch.tensor([[28.0, 0.0, 36.0, 64.0]])

    owner, _ = assign(locations, boxes, box_centers(boxes))

    assert (owner == 0).sum() == 0  # x = 28 and 36 lie on its sides, not inside


def test_the_smaller_of_two_objects_wins_and_equal_ones_go_to_the_first():
    locations = one_level()
    nested = torch.tensor([[8.0, 8.0, 56.0, 56.0], [20.0, 20.0, 44.0, 44.0]])
    twins = torch.tensor([[20.0, 20.0, 44.0, 44.0], [20.0, 20.0, 44.0, 44.0]])

    assert set(assign(locations, nested, box_centers(nested))[0].tolist()) == {-1, 1}
    assert set(assign(locations, twins, box_centers(twins))[0].tolist()) == {-1, 0}


def test_both_ends_of_a_level_range_are_inclusive():
    """From (28, 28) the farthest side of this box is 28 px away."""
    boxes = torch.tensor([[8.0, 8.0, 56.0, 56.0]])

    for low, high, expected in ((-1.0, 28.0, True), (28.0, 99.0, True), (28.5, 99.0, False)):
        locations = one_level(ranges=((low, high),))
        owner, _ = assign(locations, boxes, box_centers(boxes))
        index = (locations.points == 28).all(1).nonzero().item()
        assert (owner[index] == 0).item() is expected


def test_the_centre_of_mass_replaces_the_box_centre():
    """All mass in the left column of the box: only locations near it are positive."""
    locations = one_level()
    boxes = torch.tensor([[8.0, 8.0, 56.0, 56.0]])
    mask = torch.zeros(1, 64, 64, dtype=torch.bool)
    mask[0, 8:56, 8:12] = True

    center = mask_centers(mask, boxes)
    owner, _ = assign(locations, boxes, center)

    assert center.tolist() == [[9.5, 31.5]]
    assert set(locations.points[owner == 0][:, 0].tolist()) == {12, 20}


def test_an_empty_mask_falls_back_on_its_box():
    boxes = torch.tensor([[8.0, 8.0, 56.0, 56.0]])

    assert mask_centers(torch.zeros(1, 64, 64, dtype=torch.bool), boxes).tolist() == [[32, 32]]


def test_an_image_without_objects_is_all_background():
    owner, distances = assign(one_level(), torch.zeros(0, 4), torch.zeros(0, 2))

    assert (owner == -1).all()
    assert distances.shape == (64, 4)


def test_decoding_undoes_the_distances():
    points, box = torch.tensor([[10.0, 20.0]]), torch.tensor([[2.0, 3.0, 6.0, 9.0]])

    assert decode_boxes(points, box).tolist() == [[8, 17, 16, 29]]


def test_samples_are_shared_evenly_best_first():
    owners = torch.tensor([0, 0, 0, 0, 1, 2])
    quality = torch.tensor([0.1, 0.9, 0.5, 0.7, 0.3, 0.2])

    # Four samples for three objects: one each.
    assert spread_evenly(owners, quality, 4).tolist() == [1, 4, 5]
    # Six fit as they are.
    assert spread_evenly(owners, quality, 6).tolist() == [0, 1, 2, 3, 4, 5]
    # Fewer places than objects: still one each.
    assert spread_evenly(owners, quality, 2).tolist() == [1, 4, 5]
