"""Where the time of a step goes: sections that a stopwatch measures, and that cost nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum
from itertools import pairwise
from typing import Protocol

import torch

Mark = float | torch.cuda.Event
"""A moment: seconds on the host, or a place in the device's queue of work."""


class Section(StrEnum):
    """The parts of a step, in the order in which they are shown.

    METHOD is what a paper does besides: it judges pseudo-labels, and may have losses of its own.
    """

    DATA = "data"
    EMA = "EMA"
    TEACHER = "teacher"
    CLIP = "CLIP"
    FORWARD = "student forward"
    MATCHING = "matching"
    LOSSES = "losses"
    METHOD = "method"
    BACKWARD = "backward"
    OPTIMIZER = "optimiser"
    RECORDING = "recording"
    OTHER = "other"


class Timer(Protocol):
    """Hears which part of a step the code is in."""

    def section(self, section: Section) -> AbstractContextManager[object]:
        """`with timer.section(Section.BACKWARD): ...`; inside another, it interrupts that one."""
        ...


class NoTimer:
    """Measures nothing."""

    def __init__(self) -> None:
        self._nothing = nullcontext()

    def section(self, section: Section) -> AbstractContextManager[object]:  # noqa: ARG002
        return self._nothing


class Stopwatch:
    """Measures every section of every lap; a lap is one step.

    On CUDA the moments are events in the device's queue, so nothing is waited for before `laps`:
    a section lasts from when the device comes to its first kernel until it comes to the next one's.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_device = device.type == "cuda"
        self._running = [Section.OTHER]
        self._laps: list[list[tuple[Section, Mark]]] = []

    def lap(self) -> None:
        """A new lap begins and the one before, if any, ends."""
        if self._laps:
            self._note()
        self._laps.append([])
        self._note()

    @contextmanager
    def section(self, section: Section) -> Iterator[None]:
        self._running.append(section)
        self._note()
        try:
            yield
        finally:
            self._running.pop()
            self._note()

    def laps(self) -> list[dict[Section, float]]:
        """Seconds that each section took in each finished lap, without those inside it."""
        if self._on_device:
            torch.cuda.synchronize()
        return [_durations(marks) for marks in self._laps[:-1]]

    def _note(self) -> None:
        """From now on, the innermost open section is running."""
        if self._laps:
            self._laps[-1].append((self._running[-1], self._now()))

    def _now(self) -> Mark:
        if not self._on_device:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def _durations(marks: list[tuple[Section, Mark]]) -> dict[Section, float]:
    spent = dict.fromkeys(Section, 0.0)
    for (section, began), (_, ended) in pairwise(marks):
        spent[section] += _seconds(began, ended)
    return spent


def _seconds(began: Mark, ended: Mark) -> float:
    if isinstance(began, torch.cuda.Event):
        assert isinstance(ended, torch.cuda.Event)
        return began.elapsed_time(ended) / 1e3
    assert isinstance(ended, float)
    return ended - began
