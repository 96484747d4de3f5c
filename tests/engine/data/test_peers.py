"""Peer-assisted copy-paste: who may teach, whom, where and how often."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.data.peers import (
    PeerBank,
    overlapping_start,
    paste_probability,
    pick_learner,
    pick_peer,
    select_tutors,
    teach_learner,
    tutors,
)
from engine.data.scenes import Cutout, Scene
from engine.losses.box_mask import fill_boxes
from lab.config import PeerConfig

SMALL = PeerConfig(min_pixels=3, max_moved=2)


def peer(label: int, quality: float = 0.9, side: int = 3) -> Cutout:
    views = torch.full((2, 3, side, side), 255, dtype=torch.uint8)
    return Cutout(views, torch.ones(side, side, dtype=torch.bool), label, quality)


def scene(boxes: list[list[float]], quality: list[float], labels: list[int]) -> Scene:
    placed = torch.tensor(boxes).reshape(-1, 4)
    return Scene(
        (torch.zeros(3, 16, 16), torch.zeros(3, 16, 16)),
        (16, 16),
        placed,
        torch.tensor(labels, dtype=torch.int64),
        fill_boxes(placed, 16, 16).float(),
        torch.tensor(quality),
        torch.zeros(len(placed), dtype=torch.bool),
    )


@pytest.mark.parametrize(
    ("step", "probability"), [(0, 1.0), (2500, 0.825), (5000, 0.65), (10_000, 0.3), (90_000, 0.3)]
)
def test_pastes_become_rarer(step: int, probability: float):
    """G6."""
    assert paste_probability(step, 0.3, 10_000) == pytest.approx(probability, abs=1e-6)


def test_without_a_decline_the_final_probability_holds_at_once():
    assert paste_probability(0, 0.3, 0) == pytest.approx(0.3)


def test_a_tutor_is_alone_good_and_large():
    """Two overlap, one is poor, one has a poor box, one is small; the last passes."""
    boxes = [[0, 0, 4, 4], [1, 0, 5, 4], [6, 0, 9, 3], [10, 0, 13, 3], [0, 8, 1, 11], [4, 8, 8, 12]]
    quality, scores = [0.9, 0.9, 0.5, 0.9, 0.9, 0.6], torch.tensor([0.9, 0.9, 0.9, 0.5, 0.9, 0.6])
    found = scene([[float(x) for x in one] for one in boxes], quality, [0] * 6)

    assert tutors(found, scores, SMALL).tolist() == [False, False, False, False, False, True]
    (chosen,) = select_tutors(found, scores, SMALL)
    assert chosen.mask.shape == (4, 4)
    assert chosen.quality == pytest.approx(0.6)


def test_boxes_that_hardly_touch_are_alone():
    """Ten by ten pixels, one column shared: IoU 10 / 190 is below .1, two columns are above."""
    one = [0.0, 0.0, 10.0, 10.0]
    near, nearer = [9.0, 0.0, 16.0, 10.0], [7.0, 0.0, 16.0, 10.0]

    sure = torch.ones(2)
    assert tutors(scene([one, near], [0.9, 0.9], [0, 0]), sure, SMALL).all()
    assert not tutors(scene([one, nearer], [0.9, 0.9], [0, 0]), sure, SMALL).any()


def test_an_image_without_objects_has_no_tutor_and_finds_none():
    nothing = scene([], [], [])
    bank = PeerBank()
    bank.remember((peer(1),), 80)

    assert select_tutors(nothing, torch.zeros(0), SMALL) == ()
    assert bank.draw([]) is None


def test_the_bank_gives_only_what_shares_a_class():
    bank = PeerBank()
    bank.remember((peer(1), peer(2)), 80)
    bank.remember((peer(3),), 80)

    assert bank.draw([2, 9]) == (1, 2)
    assert bank.draw([3]) == (3,)
    assert bank.draw([4]) is None
    assert PeerBank().draw([1]) is None


def test_the_bank_keeps_the_old_record_of_the_same_labels():
    bank = PeerBank()
    bank.remember((peer(1, 0.6),), 80)
    bank.remember((peer(1, 0.9),), 80)
    bank.remember((), 80)

    assert [one[0].quality for one in bank.records.values()] == [0.6]


def test_a_full_bank_forgets_any_record():
    bank = PeerBank()
    for label in range(10):
        torch.manual_seed(label)
        bank.remember((peer(label),), 4)
    kept = list(bank.records)

    assert len(bank) == 4
    assert kept != [(6,), (7,), (8,), (9,)]


def test_a_record_that_is_used_is_gone():
    bank = PeerBank()
    bank.remember((peer(1),), 80)
    bank.forget((1,))
    bank.forget((1,))

    assert len(bank) == 0


def test_the_bank_comes_back_from_its_state():
    bank, other = PeerBank(), PeerBank()
    bank.remember((peer(5, 0.7), peer(2)), 80)
    bank.remember((peer(1),), 80)
    state = bank.state_dict()
    bank.forget((1,))

    other.load_state_dict(state)

    assert list(other.records) == [(5, 2), (1,)]
    back = other.records[(5, 2)][0]
    assert (back.label, back.quality) == (5, 0.7)
    assert torch.equal(back.views, peer(5).views)


def test_the_best_shared_peer_is_taken_and_the_first_of_equals():
    record = (peer(1, 0.6), peer(2, 0.8), peer(2, 0.8), peer(3, 0.99))

    assert pick_peer(record, [1, 2], "best") is record[1]
    assert pick_peer(record, [1], "best") is record[0]


def test_any_shared_peer_may_be_taken_at_random():
    record = (peer(1, 0.6), peer(2, 0.8), peer(3, 0.99))
    torch.manual_seed(0)

    taken = {pick_peer(record, [1, 2], "random").label for _ in range(30)}

    assert taken == {1, 2}


def test_the_poorest_of_the_class_learns():
    boxes = [[0.0, 0.0, 4.0, 4.0]] * 4
    found = scene(boxes, [0.7, 0.2, 0.2, 0.0], [1, 1, 1, 2])
    torch.manual_seed(0)

    assert pick_learner(found, 1, "lowest_quality") == 1
    assert {pick_learner(found, 1, "random") for _ in range(30)} == {0, 1, 2}


def test_places_along_an_axis():
    """G7: a peer of 30 pixels beside a learner in [40, 100] starts between 13 and 97."""
    assert overlapping_start(40, 100, 30, 0.1, 0.0) == pytest.approx(13)
    assert overlapping_start(40, 100, 30, 0.1, 1.0) == pytest.approx(97)


@given(st.floats(0, 500), st.floats(1, 200), st.floats(1, 200), st.floats(0, 1), st.floats(0.01, 1))
def test_a_peer_overlaps_its_learner(
    low: float, size: float, length: float, draw: float, share: float
):
    high = low + size
    start = overlapping_start(low, high, length, share, draw)

    overlap = min(high, start + length) - max(low, start)

    assert overlap >= min(share * length, size) - 1e-6


@pytest.mark.parametrize("seed", range(20))
def test_a_pasted_peer_overlaps_the_box_of_its_learner(seed: int):
    """Placed by real draws; by at least the tenth of three pixels, rounded to whole ones."""
    found = scene([[6.0, 6.0, 12.0, 12.0], [0.0, 0.0, 3.0, 3.0]], [0.2, 0.9], [4, 5])
    torch.manual_seed(seed)

    taught = teach_learner(found, (peer(4),), PeerConfig(min_pixels=0, max_moved=9))

    assert taught is not None
    x1, y1, x2, y2 = taught.boxes[-1].tolist()
    assert x1 <= 12 and y1 <= 12 and x2 >= 6 and y2 >= 6
    assert taught.labels.tolist() == [4, 5, 4]


def test_a_peer_may_be_placed_anywhere_instead():
    found = scene([[6.0, 6.0, 12.0, 12.0]], [0.2], [4])
    config = PeerConfig(place="random", min_pixels=8, max_moved=9)
    lefts = set()
    for seed in range(40):
        torch.manual_seed(seed)
        taught = teach_learner(found, (peer(4),), config)
        assert taught is not None
        assert (taught.boxes[-1, 2:] - taught.boxes[-1, :2]).tolist() == [3, 3]
        lefts.add(int(taught.boxes[-1, 0]))

    assert min(lefts) < 3 and max(lefts) > 10


def test_a_peer_larger_than_the_image_is_placed_at_its_corner():
    found = scene([[6.0, 6.0, 12.0, 12.0]], [0.2], [4])

    taught = teach_learner(
        found, (peer(4, side=20),), PeerConfig(place="random", min_pixels=8, max_moved=9)
    )

    assert taught is not None
    assert taught.boxes.tolist() == [[0, 0, 16, 16]]
