"""The stopwatch: sections inside sections, laps, and what is outside of all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from engine.timing import NoTimer, Section, Stopwatch

CPU = torch.device("cpu")


@pytest.fixture
def tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock is one second after the one before."""
    seconds: Iterator[float] = map(float, range(1000))
    monkeypatch.setattr("time.perf_counter", lambda: next(seconds))


@pytest.mark.usefixtures("tick")
def test_a_section_inside_another_interrupts_it():
    watch = Stopwatch(CPU)
    watch.lap()  # 0
    with watch.section(Section.LOSSES), watch.section(Section.FORWARD):  # 1, 2
        pass  # 3, 4
    watch.lap()  # 5 it ended, 6 the next began

    (lap,) = watch.laps()

    # Other 0-1, losses 1-2, forward 2-3, losses again 3-4, other again 4-5.
    assert {s: t for s, t in lap.items() if t} == {
        Section.OTHER: 2,
        Section.LOSSES: 2,
        Section.FORWARD: 1,
    }


@pytest.mark.usefixtures("tick")
def test_a_section_that_raises_has_ended():
    watch = Stopwatch(CPU)
    watch.lap()
    with pytest.raises(ZeroDivisionError), watch.section(Section.BACKWARD):
        raise ZeroDivisionError
    watch.lap()

    assert watch.laps()[0][Section.BACKWARD] == 1


def test_the_last_lap_has_not_ended_and_is_left_out():
    watch = Stopwatch(CPU)

    assert watch.laps() == []
    watch.lap()
    assert watch.laps() == []
    watch.lap()
    assert len(watch.laps()) == 1


def test_before_the_first_lap_nothing_is_counted():
    watch = Stopwatch(CPU)
    with watch.section(Section.DATA):
        pass
    watch.lap()
    watch.lap()

    assert watch.laps()[0][Section.DATA] == 0


def test_no_timer_lets_sections_nest():
    timer = NoTimer()

    with timer.section(Section.LOSSES), timer.section(Section.FORWARD):
        pass
