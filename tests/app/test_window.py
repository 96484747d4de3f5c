"""The steps a page is about."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.window import StepWindow, choose_window

STEPS = np.array([10, 20, 30], np.int64)


def test_nothing_recorded_is_no_window() -> None:
    assert choose_window(np.array([], np.int64), None, 1) is None


def test_no_step_means_the_latest() -> None:
    assert choose_window(STEPS, None, 1) == StepWindow(30, 30)


def test_a_step_between_two_recorded_ones_means_the_one_before() -> None:
    assert choose_window(STEPS, 29, 1) == StepWindow(20, 20)


def test_a_step_before_all_means_the_first() -> None:
    assert choose_window(STEPS, 3, 1) == StepWindow(10, 10)


def test_a_span_counts_steps_of_training() -> None:
    assert choose_window(STEPS, 30, 11) == StepWindow(20, 30)


def test_a_span_of_zero_is_everything_so_far() -> None:
    assert choose_window(STEPS, 20, 0) == StepWindow(10, 20)


def test_a_window_begins_no_earlier_than_what_was_recorded() -> None:
    """A fork that began at step 10 has nothing to say of steps 0 to 9."""
    assert choose_window(STEPS, 30, 100) == StepWindow(10, 30)


@given(
    st.lists(st.integers(0, 10**6), min_size=1, unique=True),
    st.integers(-5, 10**6) | st.none(),
    st.integers(0, 10**6),
)
def test_a_window_always_ends_at_a_recorded_step(
    steps: list[int], step: int | None, span: int
) -> None:
    window = choose_window(np.array(sorted(steps), np.int64), step, span)

    assert window is not None
    assert window.last in steps
    assert window.first <= window.last
