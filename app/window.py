"""Which steps a page is about: one recorded step, or a window that ends there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lab.datasets.records import IntArray


@dataclass(frozen=True, slots=True)
class StepWindow:
    """Steps first..last, both included."""

    first: int
    last: int


def choose_window(steps: IntArray, step: int | None, span: int) -> StepWindow | None:
    """The window that ends at the recorded step at or before `step`, and begins where labels do.

    Args:
        steps: (S,) recorded steps, ascending.
        step: None = the latest; before the first recorded step = the first.
        span: how many steps of training the window covers; 1 = the one step, 0 = all up to it.

    Returns:
        None when nothing is recorded.
    """
    if len(steps) == 0:
        return None
    index = len(steps) - 1 if step is None else int(np.searchsorted(steps, step, side="right")) - 1
    last = int(steps[max(0, index)])
    first = int(steps[0])
    return StepWindow(first if span == 0 else max(first, last - span + 1), last)
