"""Which class is taken for which: the kept labels of a field, counted by class and true class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.fiftyone.numbers import ON_AN_OBJECT, SHOWN, columns
from lab.analysis.breakdown import ConfusedClasses, confused_classes
from lab.analysis.confusion import NONE

Cell = tuple[str, str | None]
"""(class of the label, class of the object under it; None = background)."""


@dataclass(frozen=True, slots=True)
class Cells:
    """How many labels there are of each pair."""

    counts: Mapping[Cell, int]

    def called(self) -> dict[str, int]:
        """Labels by their class, the class with the most wrong ones first."""
        wrong, every = Counter[str](), Counter[str]()
        for (predicted, true), number in self.counts.items():
            every[predicted] += number
            wrong[predicted] += number * (true != predicted)
        order = sorted(every, key=lambda name: (-wrong[name], -every[name], name))
        return {name: every[name] for name in order}

    def lying(self, predicted: str) -> dict[str | None, int]:
        """Labels of one class by what is under them: mistakes first, the most frequent first."""
        found = {true: number for (name, true), number in self.counts.items() if name == predicted}
        order = sorted(found, key=lambda true: (true == predicted, -found[true], true or ""))
        return {true: found[true] for true in order}

    def square(self, most: int) -> tuple[list[str], ConfusedClasses]:
        """Names of all classes, and by them the matrix of the `most` that are confused most."""
        names = sorted({one for cell in self.counts for one in cell if one is not None})
        place = {name: number for number, name in enumerate(names)} | {None: NONE}
        pairs = np.array([(place[a], place[b]) for a, b in self.counts], np.int64).reshape(-1, 2)
        repeated = np.repeat(pairs, list(self.counts.values()), axis=0)
        return names, confused_classes(repeated[:, 0], repeated[:, 1], len(names), most)


def cells_of(dataset: Any, field: str) -> Cells:
    """The kept labels of a field in the whole dataset; those that nobody judged are left out."""
    found = columns(dataset, field, ("kind", "kept", "label", "gt_class"))
    return count_cells(zip(*found.values(), strict=True))


def count_cells(labels: Iterable[tuple[str, bool, str, str | None]]) -> Cells:
    """(kind, kept, class, true class) of any labels."""
    return Cells(
        Counter(
            (label, true if kind in ON_AN_OBJECT else None)
            for kind, kept, label, true in labels
            if kept and kind in SHOWN
        )
    )
