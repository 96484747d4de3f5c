"""Objects of earlier images: who is remembered, who is taken along, and where they go."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.guests import GuestBank, importance, num_taken, receive, select_guests
from engine.data.scenes import Cutout, Scene
from engine.losses.box_mask import fill_boxes
from lab.config import PasteConfig

ALWAYS = PasteConfig(bank_size=2, probability=1.0)


def guest(label: int, left: int = 0, top: int = 0, side: int = 3) -> Cutout:
    views = torch.full((1, 3, side, side), 255, dtype=torch.uint8)
    return Cutout(views, torch.ones(side, side, dtype=torch.bool), label, 0.9, left, top)


def scene(*boxes: tuple[float, ...], quality: float = 0.8) -> Scene:
    """A black image of 16 x 16 pixels; every object fills its box."""
    placed = torch.tensor(boxes).reshape(-1, 4)
    return Scene(
        views=(torch.zeros(3, 16, 16),),
        size=(16, 16),
        boxes=placed,
        labels=torch.arange(len(placed)),
        masks=fill_boxes(placed, 16, 16).float(),
        quality=torch.full((len(placed),), quality),
        pasted=torch.zeros(len(placed), dtype=torch.bool),
    )


@pytest.mark.parametrize(
    ("present", "quarter", "half"),
    [(1, 1, 1), (2, 1, 1), (3, 1, 1), (4, 1, 2), (8, 2, 3), (12, 3, 3), (20, 3, 3), (0, 0, 0)],
)
def test_a_share_of_the_objects_is_taken_along(present: int, quarter: int, half: int):
    """I8."""
    assert num_taken(present, PasteConfig()) == quarter
    assert num_taken(present, PasteConfig(share=0.5)) == half


def test_better_masks_are_taken_more_often():
    """I7."""
    scores = torch.tensor([0.9, 0.6, 0.3])

    torch.testing.assert_close(
        importance(scores), torch.tensor([0.5, 0.333333, 0.166667]), atol=1e-6, rtol=0
    )
    torch.testing.assert_close(
        importance(scores, 3.0), torch.tensor([0.75, 0.222222, 0.027778]), atol=1e-6, rtol=0
    )
    assert importance(torch.zeros(4)).tolist() == [0.25] * 4
    assert importance(torch.zeros(0)).tolist() == []


@settings(deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=9), st.floats(0, 5))
def test_the_odds_sum_to_one(scores: list[float], power: float):
    assert importance(torch.tensor(scores), power).sum().item() == pytest.approx(1, abs=1e-5)


def test_guests_stand_where_they_stood_and_are_marked():
    found = receive(scene((0, 0, 4, 4)), (guest(7, left=8, top=2),))

    assert found.boxes.tolist() == [[0, 0, 4, 4], [8, 2, 11, 5]]
    assert found.pasted.tolist() == [False, True]
    assert found.views[0][:, 2:5, 8:11].min() == 1
    assert found.views[0].sum() == 3 * 9


def test_a_target_behind_a_guest_loses_pixels_and_box_or_goes():
    """Columns 2 and 3 of the first, and all of the second, are hidden."""
    found = receive(scene((0, 4, 4, 6), (4, 4, 5, 5)), (guest(7, left=2, top=3, side=4),))

    assert found.labels.tolist() == [0, 7]
    assert found.boxes[0].tolist() == [0, 4, 2, 6]
    assert found.masks[0].sum() == 4


def test_if_everything_is_hidden_only_guests_are_left():
    found = receive(scene((1, 1, 3, 3)), (guest(7, side=16),))

    assert found.labels.tolist() == [7]


def test_a_guest_beyond_the_edge_stays_away_and_one_across_it_is_cut():
    away, across = guest(7, left=16), guest(8, left=15, top=15)

    assert receive(scene(), (away,)).labels.tolist() == []
    assert receive(scene(), (across,)).boxes.tolist() == [[15, 15, 16, 16]]
    assert receive(scene((0, 0, 2, 2)), ()).pasted.tolist() == [False]


def test_a_later_guest_is_in_front_of_an_earlier_one():
    found = receive(scene(), (guest(5), guest(6, left=2)))

    assert found.boxes.tolist() == [[0, 0, 2, 3], [2, 0, 5, 3]]


def test_objects_are_cut_out_with_their_place():
    torch.manual_seed(0)
    (found,) = select_guests(scene((3, 5, 6, 9)), 0.7, PasteConfig())

    assert (found.left, found.top, found.label) == (3, 5, 0)
    assert found.mask.shape == (4, 3) and found.mask.all()
    back = receive(scene(), (found,))
    assert back.boxes.tolist() == [[3, 5, 6, 9]]


def test_pixels_below_the_threshold_stay_behind():
    source = scene((0, 0, 8, 8))
    source.masks[0, :, 4:8] = 0.6

    (found,) = select_guests(source, 0.7, PasteConfig())

    assert found.mask.shape == (8, 4)


def test_nobody_is_taken_without_a_score_or_when_switched_off():
    assert select_guests(scene((0, 0, 4, 4), quality=0.0), 0.7, PasteConfig()) == ()
    assert select_guests(scene(), 0.7, PasteConfig()) == ()
    assert select_guests(scene((0, 0, 4, 4)), 0.7, PasteConfig(enabled=False)) == ()


@pytest.mark.parametrize("repeated", [False, True])
def test_at_most_three_of_many_are_taken(repeated: bool):
    boxes = [(float(4 * (i % 4)), float(4 * (i // 4)), 4.0 * (i % 4) + 3, 4.0 * (i // 4) + 3)
             for i in range(16)]  # fmt: skip
    config = PasteConfig(repeated=repeated)
    torch.manual_seed(1)

    sizes = {len(select_guests(scene(*boxes), 0.7, config)) for _ in range(20)}

    assert sizes == {3} if not repeated else max(sizes) == 3


def test_the_oldest_image_is_forgotten_first():
    bank = GuestBank()

    bank.remember([(guest(1),), (), (guest(2),)], 2)
    bank.remember([(guest(3),)], 2)

    assert [one[0].label for one in bank.records] == [2, 3]


def test_nobody_comes_before_the_bank_is_full():
    bank = GuestBank()
    bank.remember([(guest(1),)], 2)

    assert bank.draw(ALWAYS) == ()
    bank.remember([(guest(2),)], 2)
    assert bank.draw(ALWAYS)[0].label in (1, 2)
    assert bank.draw(ALWAYS.model_copy(update={"probability": 0.0})) == ()
    assert bank.draw(ALWAYS.model_copy(update={"enabled": False})) == ()
    assert bank.draw(ALWAYS.model_copy(update={"bank_size": 3})) == ()


def test_every_image_of_the_bank_is_drawn_sometimes():
    bank = GuestBank()
    bank.remember([(guest(label),) for label in range(4)], 4)
    torch.manual_seed(0)

    drawn = [bank.draw(PasteConfig(bank_size=4, probability=0.5)) for _ in range(400)]

    assert {one[0].label for one in drawn if one} == {0, 1, 2, 3}
    assert sum(bool(one) for one in drawn) == pytest.approx(200, abs=40)


def test_a_bank_comes_back_from_a_checkpoint():
    bank, again = GuestBank(), GuestBank()
    bank.remember([(guest(1, left=4), guest(2, top=5))], 9)

    again.load_state_dict(bank.state_dict())

    ((first, second),) = again.records
    assert (first.label, first.left, second.label, second.top) == (1, 4, 2, 5)
    assert torch.equal(first.mask, bank.records[0][0].mask)
