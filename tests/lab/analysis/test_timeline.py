"""One image through training: who is the same thing, and what became of it."""

from __future__ import annotations

import numpy as np
from analysis_scenes import BEAR, CAR, DOG, Box, block
from hypothesis import given
from hypothesis import strategies as st

from lab.analysis.happenings import Event, happenings
from lab.analysis.timeline import Frame, compare, link

SIDE = 20
LEFT, RIGHT = (0.0, 0.0, 10.0, 20.0), (10.0, 0.0, 20.0, 20.0)
HERE, THERE = (0, 0, 8, 8), (12, 12, 20, 20)


def frame(
    step: int, *things: tuple, visible: tuple[float, float, float, float] | None = None, masks=True
) -> Frame:
    """things: (box, label, kept?, score?, label before?)."""
    full = [(*one, *(True, 0.9, one[1])[len(one) - 2 :]) for one in things]
    boxes: list[Box] = [one[0] for one in full]
    return Frame(
        step=step,
        height=SIDE,
        width=SIDE,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        masks=tuple(block(box, SIDE) for box in boxes) if masks else None,
        labels=np.array([one[1] for one in full], np.int64),
        labels_before=np.array([one[4] for one in full], np.int64),
        score=np.array([one[3] for one in full], np.float32),
        kept=np.array([one[2] for one in full], np.bool_),
        visible=visible,
    )


def tracks(*frames: Frame) -> list[list[int]]:
    return [one.tolist() for one in link(frames).tracks]


def story(*frames: Frame) -> list[tuple[int, int, Event]]:
    return [(one.frame, one.track, one.event) for one in happenings(frames, link(frames))]


def test_masks_that_overlap_by_half_are_one_thing():
    """Of 64 pixels 48 are shared after 2 columns: 48 / 80 = 0.6. After 3: 40 / 88 = 0.45."""
    assert tracks(frame(0, (HERE, DOG)), frame(1, ((2, 0, 10, 8), DOG))) == [[0], [0]]
    assert tracks(frame(0, (HERE, DOG)), frame(1, ((3, 0, 11, 8), DOG))) == [[0], [1]]


def test_a_thing_is_followed_from_where_it_was_last():
    """Each step shifts it by two columns; the last is far from the first."""
    frames = [frame(step, ((2 * step, 0, 2 * step + 8, 8), DOG)) for step in range(6)]

    assert tracks(*frames) == [[0]] * 6


def test_a_thing_that_comes_back_is_the_same():
    frames = [frame(0, (HERE, DOG)), frame(1, (THERE, CAR)), frame(2, (THERE, CAR), (HERE, DOG))]

    assert tracks(*frames) == [[0], [1], [1, 0]]
    assert story(*frames) == [
        (0, 0, Event.BORN),
        (1, 1, Event.BORN),
        (1, 0, Event.GONE),
        (2, 0, Event.BACK),
    ]


def test_one_label_only_can_be_a_thing_and_the_kept_one_chooses_first():
    """Two labels cover the thing; the dropped one fits better and has the higher score."""
    shifted = (1, 0, 9, 8)

    frames = frame(0, (HERE, DOG)), frame(1, (HERE, DOG, False, 0.99), (shifted, DOG, True, 0.5))

    assert tracks(*frames) == [[0], [1, 0]]


def test_of_two_things_in_one_place_a_label_is_the_one_of_its_class():
    first = frame(0, (HERE, DOG, True, 0.9), (HERE, BEAR, False, 0.4))

    assert tracks(first, frame(1, (HERE, BEAR, True, 0.9), (HERE, DOG, False, 0.4))) == [
        [0, 1],
        [1, 0],
    ]
    # Alone, a label of a third class is still one of the two.
    assert tracks(first, frame(1, (HERE, CAR)))[1] in ([0], [1])


def test_its_class_and_its_fate_are_told_when_they_change():
    frames = [
        frame(0, (HERE, DOG, False)),
        frame(1, (HERE, BEAR, True, 0.9, DOG)),
        frame(2, (HERE, BEAR, False)),
        frame(3, (HERE, BEAR, False)),
        frame(4),
        frame(5),
    ]

    assert story(*frames) == [
        (0, 0, Event.BORN),
        (1, 0, Event.CHANGED),
        (1, 0, Event.CORRECTED),
        (1, 0, Event.KEPT),
        (2, 0, Event.DROPPED),
        (4, 0, Event.GONE),
    ]


def test_what_a_view_does_not_show_is_not_gone():
    frames = [
        frame(0, (HERE, DOG), (THERE, CAR)),
        frame(1, (HERE, DOG), visible=LEFT),
        frame(2, (THERE, CAR), visible=RIGHT),
    ]

    found = link(frames)

    assert [one.tolist() for one in found.tracks] == [[0, 1], [0], [1]]
    assert found.hidden == (frozenset(), frozenset({1}), frozenset({0}))
    assert [event for _, _, event in story(*frames)] == [Event.BORN, Event.BORN]


def test_a_mask_cut_by_the_view_is_compared_with_the_part_that_both_saw():
    """The thing is 12 wide, the view shows its left 10 columns: inside it the two are equal."""
    frames = [frame(0, ((0, 0, 12, 8), DOG)), frame(1, ((0, 0, 10, 8), DOG), visible=LEFT)]

    assert tracks(*frames) == [[0], [0]]
    now, known = frames[1].sightings(), frames[0].sightings()
    overlap, shown = compare(now, known, LEFT)
    assert overlap.tolist() == [[1.0]]
    assert shown.tolist() == [True]


def test_boxes_stand_in_where_masks_are_not_stored():
    frames = [frame(0, (HERE, DOG)), frame(1, (HERE, DOG), masks=False), frame(2, (HERE, DOG))]

    assert tracks(*frames) == [[0], [0], [0]]


def test_an_image_without_labels_has_no_things():
    assert link([]).num_tracks == 0
    found = link([frame(0), frame(1)])
    assert found.num_tracks == 0
    assert happenings([frame(0), frame(1)], found) == []


boxes = st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 10), st.integers(1, 10)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
labels = st.tuples(boxes, st.sampled_from([BEAR, DOG, CAR]), st.booleans())


@given(st.lists(st.lists(labels, max_size=5), max_size=5))
def test_every_label_is_one_thing_and_no_thing_is_two_labels_of_a_step(made):
    frames = [frame(step, *things) for step, things in enumerate(made)]

    found = link(frames)

    assert [len(one) for one in found.tracks] == [len(one) for one in made]
    for one in found.tracks:
        assert len(set(one.tolist())) == len(one)
    seen = {track for one in found.tracks for track in one.tolist()}
    assert seen == set(range(found.num_tracks))
    born = [one.track for one in happenings(frames, found) if one.event is Event.BORN]
    assert sorted(born) == sorted(seen)
