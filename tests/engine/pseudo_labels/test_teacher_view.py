"""The teacher may look at another size; what it says comes back in the student's frame."""

from __future__ import annotations

import pytest
import torch

from engine.box_host import Wanted
from engine.instances import Targets
from engine.interfaces import LabeledBatch, ViewGeometry
from engine.models.condinst import CondInst
from engine.pseudo_labels.teacher_view import ask_teacher, fitted_size, maps_back, resized_views
from lab.config import CondInstConfig


def view(height: int, width: int) -> ViewGeometry:
    return ViewGeometry(height, width, False, 1.0, 1.0, 0.0, 0.0, height, width)


@pytest.mark.parametrize(
    ("shown", "size"),
    [((600, 900), (800, 1200)), ((400, 1000), (533, 1333)), ((9, 1), (1333, 148))],
)
def test_the_short_side_is_fitted_unless_the_long_one_is_too_long(shown, size):
    assert fitted_size(view(*shown), 800, 1333) == size


def test_views_are_resized_without_their_padding():
    """The image is white, the padding black: no grey may creep in at the border."""
    images = torch.zeros(1, 3, 64, 64)
    images[:, :, :40, :32] = 1

    resized, scales = resized_views(images, [view(40, 32)], [(80, 64)])

    assert resized.shape == (1, 3, 96, 64)
    assert scales.tolist() == [[2.0, 2.0]]
    assert (resized[:, :, :80, :64] == 1).all()
    assert (resized[:, :, 80:] == 0).all()


def test_a_map_that_was_enlarged_comes_back_as_it_was():
    """A linear ramp is read exactly by bilinear interpolation, away from the border."""
    ramp = torch.arange(16.0)[None, None, :].expand(1, 8, 16) + 0.5

    back = maps_back(ramp, torch.tensor([[2.0, 2.0]]), (4, 8))

    # Cell j of the old grid is centred where the new one has 2 * (j + 0.5).
    expected = (torch.arange(8.0) + 0.5) * 2
    torch.testing.assert_close(back[0, 0], expected, atol=1e-5, rtol=0)
    assert maps_back(ramp[:0], torch.zeros(0, 2), (4, 8)).shape == (0, 4, 8)


@pytest.fixture(scope="module")
def teacher() -> CondInst:
    torch.manual_seed(0)
    return CondInst(CondInstConfig(width=8, score_floor=0.001), num_classes=3)


def batch() -> LabeledBatch:
    torch.manual_seed(1)
    weak = torch.rand(2, 3, 64, 64)
    targets = [
        Targets(torch.tensor([[8.0, 8.0, 40.0, 40.0]]), torch.tensor([1])),
        Targets(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)),
    ]
    return LabeledBatch(weak, weak, targets, [1, 2], [view(64, 64), view(64, 64)], [[7], []])


def test_a_teacher_of_the_same_size_is_asked_directly(teacher):
    teacher.train()
    found = ask_teacher(teacher, batch())
    asked = teacher.propose(batch().weak, batch().targets)

    assert not teacher.training
    torch.testing.assert_close(found.images[0].boxes, asked.images[0].boxes)


def test_a_larger_teacher_answers_in_the_students_frame(teacher):
    found = ask_teacher(teacher, batch(), Wanted.ASSIGNED, short_side=128)

    assert len(found.images[0]) > 0 and len(found.images[1]) == 0
    x1, y1, x2, y2 = found.images[0].boxes.unbind(1)
    # Locations assigned to the box lie in it, and boxes contain their locations.
    assert (x1 < 40).all() and (x2 > 8).all() and (y1 < 40).all() and (y2 > 8).all()
    rows = [torch.arange(len(one)) for one in found.images]
    masks = found.mask_logits(rows)
    assert [one.shape for one in masks] == [(len(rows[0]), 32, 32), (0, 32, 32)]
