"""Mean true IoU of what thresholds keep, from cumulative sums like the counts beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lab.analysis.match import Float64Array
from lab.analysis.quality import ratio
from lab.analysis.threshold_grid import SIDE, at_or_above
from lab.datasets.records import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class IouSums:
    """True IoU at or above every pair of grid thresholds."""

    cumulative: Float64Array
    """(2, 101, 101): [sum of IoU | labels whose IoU is known, x bin, y bin]; a coupled histogram
    keeps (2, 101) of it."""

    @classmethod
    def build(cls, cells: IntArray, true_ious: FloatArray) -> IouSums:
        """Sum IoUs by cell of the grid; NaN = not known. (N,), (N,)"""
        if len(true_ious) != len(cells):
            raise ValueError(f"true_ious has {len(true_ious)} entries for {len(cells)} labels")
        known = ~np.isnan(true_ious)
        if not known.all():
            cells, true_ious = cells[known], true_ious[known]
        sums = np.bincount(cells, true_ious, SIDE**2), np.bincount(cells, minlength=SIDE**2)
        planes = np.stack(sums).astype(np.float64).reshape(2, SIDE, SIDE)
        return cls(at_or_above(planes))

    def along_x(self) -> IouSums:
        """The sums over the first axis alone: (2, 101)."""
        return IouSums(np.ascontiguousarray(self.cumulative[:, :, 0]))

    def mean_at(self, *at: int) -> float:
        """Mean true IoU at grid indices; NaN where nothing known is kept."""
        total, known = self.cumulative[:, *at]
        return ratio(float(total), float(known))

    def means(self) -> Float64Array:
        """The same at all thresholds."""
        total, known = self.cumulative
        return total / np.where(known > 0, known, np.nan)
