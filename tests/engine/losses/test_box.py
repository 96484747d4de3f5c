"""FCOS box losses against hand-computed values."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import sigmoid_focal_loss

from engine.losses.box import centerness, distance_giou


def test_centerness_and_score_of_the_worked_example():
    """D1: sqrt(2/6 * 3/9) = 1/3, and with class 0.8 the score sqrt(0.8 / 3)."""
    value = centerness(torch.tensor([[2.0, 3.0, 6.0, 9.0]]))

    assert value.item() == pytest.approx(1 / 3, abs=1e-6)
    assert (0.8 * value).sqrt().item() == pytest.approx(0.516398, abs=1e-6)


def test_giou_of_the_worked_example():
    """D2: with the authors' +1 smoothing and without."""
    pred, target = torch.tensor([[4.0, 2.0, 4.0, 4.0]]), torch.tensor([[2.0, 3.0, 6.0, 9.0]])

    iou, giou = distance_giou(pred, target)
    plain_iou, plain_giou = distance_giou(pred, target, smooth=0.0)

    assert iou.item() == pytest.approx(0.339450, abs=1e-6)
    assert giou.item() == pytest.approx(0.239450, abs=1e-6)
    assert plain_iou.item() == pytest.approx(1 / 3, abs=1e-6)
    assert plain_giou.item() == pytest.approx(0.233333, abs=1e-6)


def test_focal_loss_of_the_worked_example():
    logits = torch.logit(torch.tensor([0.7, 0.2]))

    loss = sigmoid_focal_loss(logits, torch.tensor([1.0, 0.0]), 0.25, 2.0)

    torch.testing.assert_close(loss, torch.tensor([0.008025, 0.006694]), atol=1e-6, rtol=0)


@given(st.lists(st.floats(0.1, 50), min_size=4, max_size=4))
def test_a_box_is_at_distance_zero_from_itself(sides):
    box = torch.tensor([sides])

    iou, giou = distance_giou(box, box)

    assert iou.item() == pytest.approx(1, abs=1e-5)
    assert giou.item() == pytest.approx(1, abs=1e-5)


@given(
    st.lists(st.floats(0.1, 50), min_size=4, max_size=4),
    st.lists(st.floats(0.1, 50), min_size=4, max_size=4),
)
def test_giou_never_exceeds_iou(a, b):
    iou, giou = distance_giou(torch.tensor([a]), torch.tensor([b]))

    assert giou.item() <= iou.item() + 1e-5
    assert 0 <= centerness(torch.tensor([a])).item() <= 1 + 1e-6


def test_collapsed_predictions_give_finite_losses():
    iou, giou = distance_giou(torch.zeros(1, 4), torch.zeros(1, 4))

    assert torch.isfinite(iou).all() and torch.isfinite(giou).all()
