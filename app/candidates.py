"""What a run's teacher proposed: the recorded labels that some threshold could have kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lab.analysis.what_if import Answer, IntegralHistogram
from lab.datasets.records import BoolArray, DropRule, FloatArray, IntArray
from lab.store.queries import LabelFilter, RunRow, label_columns, step_summaries
from lab.store.store import Store

COLUMNS = (
    "class_quality",
    "mask_quality",
    "score",
    "kind",
    "duplicate",
    "gt_id",
    "step",
    "area",
    "rule",
    "kept",
)
EVERY_STEP = 2**31


@dataclass(frozen=True, slots=True)
class Candidates:
    """Recorded labels that any thresholds could keep: all but the specks. All arrays (N,)."""

    class_quality: FloatArray
    mask_quality: FloatArray
    score: FloatArray
    kinds: IntArray
    duplicates: BoolArray
    truths: IntArray
    """A number per truth and step; -1 = no truth."""
    kept: BoolArray
    """What the run itself kept."""
    num_truths: int

    def __len__(self) -> int:
        return len(self.kinds)

    def answer(self, chosen: BoolArray) -> Answer:
        """What keeping exactly these labels means."""
        return self.histogram(chosen).ask(0.0, 0.0)

    def histogram(self, chosen: BoolArray) -> IntegralHistogram:
        return IntegralHistogram.build(
            self.class_quality[chosen],
            self.mask_quality[chosen],
            self.kinds[chosen],
            self.duplicates[chosen],
            self.num_truths,
            self.truths[chosen],
        )


def load_candidates(store: Store, run: RunRow, first: int | None, last: int | None) -> Candidates:
    """The labels of a window of steps, with how many truths their images hold."""
    chosen = LabelFilter(first_step=first, last_step=last)
    columns = label_columns(store, run.run_id, chosen, COLUMNS)
    smallest = run.config["method"].get("min_mask_area", 0)
    large = (columns["rule"] != DropRule.MASK_AREA) & (columns["area"] > smallest)
    possible = large | columns["kept"].astype(bool)
    columns = {name: values[possible] for name, values in columns.items()}
    return Candidates(
        class_quality=columns["class_quality"].astype(np.float32),
        mask_quality=columns["mask_quality"].astype(np.float32),
        score=columns["score"].astype(np.float32),
        kinds=columns["kind"].astype(np.int64),
        duplicates=columns["duplicate"].astype(bool),
        truths=truth_numbers(columns["step"], columns["gt_id"]),
        kept=columns["kept"].astype(bool),
        num_truths=count_truths(store, run.run_id, first, last),
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
