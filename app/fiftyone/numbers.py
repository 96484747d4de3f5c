"""What the panel shows of a field: its breakdown, and what other thresholds would keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHOWN = ("Cor", "Loc", "Sim", "Oth", "BG")
ON_AN_OBJECT = ("Cor", "Loc", "Sim", "Oth")
"""Kinds of labels that were judged and lie neither on background nor on a crowd."""
Labels = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Kept:
    """Labels that some thresholds keep."""

    labels: int
    kinds: Mapping[str, int]
    enters: int
    """Of them, those that the run dropped."""
    leaves: int
    """Those that the run kept and these thresholds would not."""

    @property
    def precision(self) -> float:
        """Share of Cor among those that can be judged; NaN when 0/0."""
        judged = sum(self.kinds.values())
        return self.kinds["Cor"] / judged if judged else float("nan")


def labels_of(dataset: Any, field: str, scores: tuple[str, ...]) -> Labels:
    """(N,) of a field's labels in the whole dataset; a score that is not there is NaN."""
    names = ("kind", "kept", "area", *scores)
    found = columns(dataset, field, names)
    numbers = {name: np.array(found[name], np.float64) for name in ("area", *scores)}
    return {
        "kind": np.array(found["kind"], dtype=object),
        "kept": np.array(found["kept"], np.bool_),
        **numbers,
    }


def kept_by_run(labels: Labels) -> Kept:
    """What the run itself kept."""
    return Kept(int(labels["kept"].sum()), kinds_of(labels, labels["kept"]), 0, 0)


def kept_by(labels: Labels, bars: Mapping[str, float], min_area: float) -> Kept:
    """What thresholds would keep. A score on its threshold is let in, a NaN is not."""
    passing = labels["area"] > min_area
    for name, bar in bars.items():
        passing = passing & (labels[name] >= float(np.float32(bar)))
    kept = labels["kept"]
    return Kept(
        labels=int(passing.sum()),
        kinds=kinds_of(labels, passing),
        enters=int((passing & ~kept).sum()),
        leaves=int((kept & ~passing).sum()),
    )


def kinds_of(labels: Labels, chosen: NDArray[np.bool_]) -> dict[str, int]:
    """How many of the chosen labels are of each kind."""
    kinds = labels["kind"][chosen]
    return {kind: int((kinds == kind).sum()) for kind in SHOWN}


def columns(dataset: Any, field: str, names: Sequence[str]) -> dict[str, list[Any]]:
    """(N,) values of all labels of a field, by attribute."""
    values = dataset.values([f"{field}.detections.{name}" for name in names])
    return {
        name: list(chain.from_iterable(of_image or () for of_image in one))
        for name, one in zip(names, values, strict=True)
    }
