"""What a box says about a mask: rasters, shadows and the loss between them."""

import pytest
import torch

from engine.losses.box_mask import box_of_mask, fill_boxes, projection_loss

SURE = 30.0


def boxes(*rows: tuple[float, float, float, float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)


def test_a_box_filled_half_open_is_its_own_tight_box():
    """K4: columns and rows 1..4 of (1, 1, 5, 5); with both ends it would grow to (1, 1, 6, 6)."""
    filled = fill_boxes(boxes((1, 1, 5, 5)), 8, 8)

    assert filled.sum() == 16
    assert box_of_mask(filled).tolist() == [[1, 1, 5, 5]]


def test_what_a_peer_covers_is_taken_from_the_box():
    """K4: a peer over columns 4..7 leaves (1, 1, 4, 5)."""
    filled = fill_boxes(boxes((1, 1, 5, 5)), 8, 8)
    filled[:, :, 4:] = False

    assert box_of_mask(filled).tolist() == [[1, 1, 4, 5]]


def test_at_a_stride_the_sampled_pixel_decides():
    """Stride 4 samples pixels 2, 6, 10, 14, whose centres are 2.5, 6.5, 10.5, 14.5."""
    filled = fill_boxes(boxes((2.4, 2.6, 10.5, 10.6)), 4, 4, stride=4)

    assert filled[0].any(dim=0).tolist() == [True, True, False, False]
    assert filled[0].any(dim=1).tolist() == [False, True, True, False]


def test_a_box_between_two_samples_fills_the_cell_of_its_centre():
    filled = fill_boxes(boxes((3, 3, 5.5, 6)), 4, 4, stride=4)

    assert filled.nonzero().tolist() == [[0, 1, 1]]


@pytest.mark.parametrize("box", [(3, 3, 3, 9), (9, 3, 3, 9), (40, 40, 50, 50)])
def test_a_box_without_area_or_outside_fills_nothing(box):
    assert not fill_boxes(boxes(box), 4, 4, stride=4).any()


def test_no_box_is_no_mask():
    assert fill_boxes(boxes(), 4, 5, stride=4).shape == (0, 4, 5)
    assert box_of_mask(torch.zeros(0, 4, 5, dtype=torch.bool)).shape == (0, 4)
    assert box_of_mask(torch.zeros(1, 4, 5, dtype=torch.bool)).tolist() == [[0, 0, 0, 0]]
    assert projection_loss(torch.zeros(0, 4, 5), torch.zeros(0, 4, 5)).shape == (0,)


def test_the_projections_of_the_worked_example():
    """E1: profiles [.2, .9, .6] and [.2, .9, .7] against [0, 1, 1]: 0.065423 + 0.041919."""
    probs = torch.tensor([[[0.1, 0.2, 0.1], [0.2, 0.9, 0.6], [0.1, 0.7, 0.3]]])
    box = torch.zeros(1, 3, 3)
    box[0, 1:, 1:] = 1

    assert projection_loss(probs, box).item() == pytest.approx(0.107343, abs=1e-6)


def test_a_mask_equal_to_its_box_costs_nothing():
    box = fill_boxes(boxes((2, 1, 7, 6)), 8, 8)

    assert projection_loss(box.float(), box).item() < 1e-5


def test_the_loss_is_blind_to_holes():
    """A diagonal from corner to corner touches every row and column of the box."""
    box = torch.ones(1, 8, 8)

    assert projection_loss(torch.eye(8)[None], box).item() < 1e-5


def test_half_of_the_box_along_x_is_charged_on_x_alone():
    """Dice of 4 of 8 columns: 2 * 4 / (4 + 8) = 2/3, so 1/3 along x and nothing along y."""
    half = torch.zeros(1, 8, 8)
    half[:, :, :4] = 1

    loss = projection_loss(half, torch.ones(1, 8, 8))

    torch.testing.assert_close(loss, torch.tensor([1 / 3]), atol=1e-5, rtol=0)


def test_a_box_that_fills_no_cell_gives_a_finite_gradient():
    logits = torch.zeros(1, 4, 4, requires_grad=True)

    projection_loss(logits.sigmoid(), torch.zeros(1, 4, 4)).sum().backward()

    assert torch.isfinite(logits.grad).all()
