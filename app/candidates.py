"""What a run's teacher proposed: the recorded labels that some threshold could have kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from app.axes import Axes, Points, bars_elsewhere, passes_all, place
from lab.analysis.what_if import Answer, IntegralHistogram
from lab.datasets.records import BoolArray, DropRule, FloatArray, IntArray
from lab.store.queries import LabelFilter, RunRow, label_columns, step_summaries
from lab.store.store import Store

COLUMNS = ("kind", "duplicate", "gt_id", "step", "area", "rule", "kept", "target_iou")
EVERY_STEP = 2**31
CLASS_AND_MASK = Axes()


@dataclass(frozen=True, slots=True)
class Candidates:
    """Recorded labels that thresholds on two scores could keep: no specks. All arrays (N,)."""

    points: Points
    """Their scores; of class and mask quality unless somebody chose others."""
    kinds: IntArray
    duplicates: BoolArray
    truths: IntArray
    """A number per truth and step; -1 = no truth."""
    kept: BoolArray
    """What the run itself kept."""
    num_truths: int
    true_ious: FloatArray | None = None
    """Of masks made from boxes; None = there are none whose own truth is known."""

    def __len__(self) -> int:
        return len(self.kinds)

    def answer(self, chosen: BoolArray) -> Answer:
        """What keeping exactly these labels means."""
        return self.histogram(chosen).ask(0.0, 0.0)

    def histogram(self, chosen: BoolArray) -> IntegralHistogram:
        return IntegralHistogram.build(
            self.points.x[chosen],
            self.points.y[chosen],
            self.kinds[chosen],
            self.duplicates[chosen],
            self.num_truths,
            self.truths[chosen],
            None if self.true_ious is None else self.true_ious[chosen],
        )


def load_candidates(
    store: Store, run: RunRow, first: int | None, last: int | None, axes: Axes = CLASS_AND_MASK
) -> Candidates:
    """The labels of a window of steps, with how many truths their images hold.

    Where a threshold of the run is on a score that is no axis, only labels that pass it count.
    """
    chosen = LabelFilter(first_step=first, last_step=last)
    bars = bars_elsewhere(run.config, axes)
    names = tuple(dict.fromkeys((*COLUMNS, *axes.columns, *bars)))
    columns = label_columns(store, run.run_id, chosen, names)
    smallest = run.config["method"].get("min_mask_area", 0)
    large = (columns["rule"] != DropRule.MASK_AREA) & (columns["area"] > smallest)
    possible = (large | columns["kept"].astype(bool)) & passes_all(columns, bars)
    columns = {name: values[possible] for name, values in columns.items()}
    true_ious = columns["target_iou"]
    return Candidates(
        points=place(columns, axes),
        kinds=columns["kind"].astype(np.int64),
        duplicates=columns["duplicate"].astype(bool),
        truths=truth_numbers(columns["step"], columns["gt_id"]),
        kept=columns["kept"].astype(bool),
        num_truths=count_truths(store, run.run_id, first, last),
        true_ious=None if np.isnan(true_ious).all() else true_ious,
    )


def count_truths(store: Store, run_id: str, first: int | None, last: int | None) -> int:
    """Truths that the images of the steps first..last showed, all steps added up."""
    since = -1 if first is None else first - 1
    summaries = step_summaries(store, run_id, since_step=since, max_points=EVERY_STEP)
    return sum(one.truths for one in summaries if last is None or one.step <= last)


def truth_numbers(steps: IntArray, gt_ids: IntArray) -> IntArray:
    """(N,) a number per (step, truth): annotation ids are unique in a dataset. -1 stays -1."""
    index, known = pd.factorize(gt_ids)
    return np.where(gt_ids < 0, -1, steps.astype(np.int64) * len(known) + index)
