"""Pasting objects into images: what is hidden, in numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.data.scenes import Cutout, Scene, cut_out, paste, scenes_of, uncovered_boxes
from engine.instances import Targets
from engine.interfaces import LabeledBatch, ViewGeometry
from engine.losses.box_mask import box_of_mask, fill_boxes

SIDE = 8


def scene(*boxes: tuple[float, ...], stride: int = 1, size: int = SIDE) -> Scene:
    """Black and grey views; every object fills its box surely, with quality .6."""
    placed = torch.tensor(boxes).reshape(-1, 4)
    cells = SIDE // stride
    return Scene(
        views=(torch.zeros(3, SIDE, SIDE), torch.full((3, SIDE, SIDE), 0.5)),
        size=(size, size),
        boxes=placed,
        labels=torch.arange(len(placed)),
        masks=fill_boxes(placed, cells, cells, stride).float(),
        quality=torch.full((len(placed),), 0.6),
        pasted=torch.zeros(len(placed), dtype=torch.bool),
    )


def white(height: int, width: int, label: int = 7) -> Cutout:
    """A full rectangle, white in the first view, nearly white in the second."""
    views = torch.full((2, 3, height, width), 255, dtype=torch.uint8)
    views[1] = 204
    return Cutout(views, torch.ones(height, width, dtype=torch.bool), label, 0.9)


def pasted(where: Scene, cutout: Cutout, left: int, top: int, **limits: float) -> Scene:
    limits = {"min_pixels": 0, "max_moved": 100, **limits}
    found = paste(where, cutout, left, top, **limits)  # pyright: ignore[reportArgumentType]
    assert found is not None
    return found


def test_a_pasted_object_is_the_last_of_the_scene_and_in_front_in_every_view():
    found = pasted(scene((0, 0, 2, 2)), white(2, 3), left=4, top=5)

    assert found.labels.tolist() == [0, 7]
    assert found.boxes[1].tolist() == [4, 5, 7, 7]
    torch.testing.assert_close(found.quality, torch.tensor([0.6, 0.9]))
    assert torch.equal(found.masks[1], fill_boxes(found.boxes[1:], SIDE, SIDE)[0].float())
    assert found.views[0].sum() == 3 * 6
    torch.testing.assert_close(found.views[1][:, 5:7, 4:7], torch.full((3, 2, 3), 0.8))
    assert (found.views[1][:, :5] == 0.5).all()


def test_only_the_mask_of_a_cutout_is_painted():
    cutout = white(2, 2)
    cutout.mask[0, 0] = False

    found = pasted(scene(), cutout, left=0, top=0)

    assert found.views[0][0, :2, :2].tolist() == [[0, 1], [1, 1]]


def test_what_is_hidden_is_no_part_of_a_mask():
    found = pasted(scene((1, 1, 5, 5)), white(2, 2), left=4, top=4)

    assert found.masks[0].sum() == 15
    assert found.boxes[0].tolist() == [1, 1, 5, 5]


def test_a_box_does_not_grow_and_shrinks_only_by_whole_rows_or_columns():
    """K4: a cover over columns 4 to 7 leaves (1, 1, 4, 5), nothing leaves (1, 1, 5, 5)."""
    box, cover = torch.tensor([[1.0, 1.0, 5.0, 5.0]]), torch.zeros(8, 8, dtype=torch.bool)

    assert uncovered_boxes(box, cover).tolist() == [[1, 1, 5, 5]]
    cover[:, 4:] = True
    assert uncovered_boxes(box, cover).tolist() == [[1, 1, 4, 5]]
    cover[:] = True
    assert uncovered_boxes(box, cover).tolist() == [[0, 0, 0, 0]]


def test_sides_that_are_not_hidden_keep_their_fractions():
    box, cover = torch.tensor([[1.2, 1.3, 5.4, 5.6]]), torch.zeros(8, 8, dtype=torch.bool)
    cover[:, 4:] = True

    torch.testing.assert_close(uncovered_boxes(box, cover), torch.tensor([[1.2, 1.3, 4.0, 5.6]]))


def test_no_boxes_are_no_boxes_behind_a_cover():
    assert uncovered_boxes(torch.zeros(0, 4), torch.ones(8, 8, dtype=torch.bool)).shape == (0, 4)
    assert pasted(scene(), white(2, 2), left=0, top=0).labels.tolist() == [7]


@given(
    st.lists(st.tuples(*[st.integers(0, 7)] * 4), min_size=1, max_size=4),
    st.tuples(*[st.integers(0, 8)] * 4),
)
def test_a_box_behind_a_cover_is_the_box_of_what_is_left(
    corners: list[tuple[int, ...]], hidden: tuple[int, ...]
):
    boxes = torch.tensor(
        [[min(a, c), min(b, d), max(a, c) + 1, max(b, d) + 1] for a, b, c, d in corners]
    ).float()
    cover = torch.zeros(8, 8, dtype=torch.bool)
    cover[hidden[0] : hidden[1], hidden[2] : hidden[3]] = True

    found = uncovered_boxes(boxes, cover)

    assert torch.equal(found, box_of_mask(fill_boxes(boxes, 8, 8) & ~cover))


def test_an_object_that_is_hidden_completely_is_gone():
    found = pasted(scene((1, 1, 3, 3), (5, 5, 7, 7)), white(3, 3), left=1, top=1)

    assert found.labels.tolist() == [1, 7]


def test_a_scene_may_be_left_with_the_peer_alone():
    assert pasted(scene((1, 1, 3, 3)), white(8, 8), left=0, top=0).labels.tolist() == [7]


@pytest.mark.parametrize(
    ("max_moved", "min_pixels", "stays"),
    [(3, 8, True), (2, 8, False), (2, 3, True), (2, 4, False)],
)
def test_a_covered_object_stays_if_its_box_or_enough_of_its_mask_does(
    max_moved: int, min_pixels: int, stays: bool
):
    """Three of four columns of a 4 x 4 object are hidden: the right side moves by 3; 4 pixels."""
    found = pasted(
        scene((0, 0, 4, 4)), white(8, 3), left=1, top=0, max_moved=max_moved, min_pixels=min_pixels
    )

    assert (0 in found.labels.tolist()) == stays


def test_the_pixels_of_a_mask_are_counted_in_pixels_of_the_view():
    """At stride 2 one cell of four pixels is left of the mask: more than 3, not more than 4."""
    half = scene((0, 0, 4, 2), stride=2)
    cutout = white(8, 2)

    assert pasted(half, cutout, 2, 0, max_moved=1, min_pixels=3).labels.tolist() == [0, 7]
    assert pasted(half, cutout, 2, 0, max_moved=1, min_pixels=4).labels.tolist() == [7]


def test_an_object_beyond_the_image_is_cut_off():
    found = pasted(scene(size=6), white(4, 4), left=-1, top=4)

    assert found.boxes.tolist() == [[0, 4, 3, 6]]
    assert found.views[0][:, 6:].sum() == 0


@pytest.mark.parametrize(("left", "top"), [(8, 0), (-4, 0), (0, 20), (-9, -9)])
def test_nothing_is_pasted_outside_the_image(left: int, top: int):
    assert paste(scene(), white(4, 4), left, top, min_pixels=0, max_moved=9) is None


def test_too_little_of_an_object_is_not_pasted():
    """Of 4 x 4 pixels two columns are inside: 8 pixels are not more than 8."""
    assert paste(scene(), white(4, 4), 6, 0, min_pixels=8, max_moved=9) is None
    assert paste(scene(), white(4, 4), 6, 0, min_pixels=7, max_moved=9) is not None


def test_pasting_changes_nothing_of_the_scene_it_starts_from():
    before = scene((1, 1, 5, 5))
    pasted(before, white(4, 4), left=2, top=2)

    assert before.views[0].sum() == 0
    assert before.masks.sum() == 16
    assert before.boxes.tolist() == [[1, 1, 5, 5]]


def test_a_cutout_has_the_pixels_of_its_mask_in_every_view():
    source = scene((1, 2, 4, 4))
    source.views[0][:, 2:4, 1:4] = 0.2

    (found,) = cut_out(source, [0])

    assert found.mask.shape == (2, 3)
    assert found.mask.all()
    assert found.views[:, 0, 0, 0].tolist() == [51, 128]
    assert (found.label, found.quality) == (0, pytest.approx(0.6))
    assert cut_out(source, []) == []


def test_a_cutout_of_a_coarse_mask_ends_at_its_box():
    """Stride 2: the box (1, 0, 5, 4) fills cells that reach to pixel 6."""
    (found,) = cut_out(scene((1, 0, 5, 4), stride=2), [0])

    assert found.mask.shape[0] <= 4 and found.mask.shape[1] <= 4
    assert found.mask.any()


def test_a_cutout_pasted_where_it_came_from_changes_nothing():
    source = scene((1, 2, 4, 4))
    source.views[0][:] = torch.arange(64).reshape(8, 8) / 255
    (cutout,) = cut_out(source, [0])

    found = pasted(source.kept(torch.tensor([False])), cutout, left=1, top=2)

    assert found.boxes.tolist() == source.boxes.tolist()
    assert torch.equal(found.masks, source.masks)
    torch.testing.assert_close(found.views[0], source.views[0])


def test_scenes_of_a_batch_have_both_views_and_the_size_that_is_shown():
    views = torch.zeros(2, 3, 8, 8), torch.ones(2, 3, 8, 8)
    target = Targets(torch.zeros(1, 4), torch.zeros(1, dtype=torch.int64))
    geometry = ViewGeometry(6, 5, False, 1.0, 1.0, 0.0, 0.0, 6, 5)
    batch = LabeledBatch(*views, [target, target[:0]], [1, 2], [geometry, geometry])

    one, other = scenes_of(
        batch, [torch.zeros(1, 4, 4), torch.zeros(0, 4, 4)], [torch.ones(1), torch.zeros(0)]
    )

    assert [view.mean().item() for view in one.views] == [0, 1]
    assert one.size == (6, 5)
    assert one.stride == other.stride == 2
    assert len(other.targets()) == 0
