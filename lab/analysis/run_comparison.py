"""Runs side by side, as plain answers: what `seglab compare` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.analysis.compare import (
    ImageLabels,
    KeptLabels,
    ModelScores,
    config_differences,
    kept_labels,
    model_scores,
    same_labels,
)
from lab.datasets.records import BoolArray, ErrorKind, LabelSource, Rle
from lab.store.pair_queries import Place, common_places
from lab.store.queries import (
    LabelFilter,
    RunRow,
    evaluations,
    label_columns,
    label_masks,
    step_summaries,
)
from lab.store.store import Store

EVERY_STEP = 2**31
MAX_PLACES = 400
"""Images times steps whose labels are compared, the newest ones."""
COLUMNS = ("label_id", "step", "image_id", "label", "kind", "score")


@dataclass(frozen=True, slots=True)
class RunFigures:
    """One run in a comparison."""

    run_id: str
    name: str
    method: str
    status: str
    scores: Mapping[str, ModelScores]
    """By model."""
    kept: KeptLabels
    """The pseudo-labels of the window."""
    steps: tuple[int, int] | None
    """The first and the last step of the window with recorded labels; None = it has none."""


@dataclass(frozen=True, slots=True)
class OneSided:
    """Labels that one run keeps and the other does not."""

    count: int
    kinds: Mapping[str, int]
    classes: Mapping[str, int]
    examples: tuple[tuple[int, int, str, str, float], ...]
    """(step, image id, class, kind, score), the best scores first."""


@dataclass(frozen=True, slots=True)
class LabelDifferences:
    """The kept labels of two runs on the same images at the same steps."""

    run_ids: tuple[str, str]
    source: str
    """pseudo, or probe_teacher when the runs never taught with one image at one step."""
    places: int
    """Images times steps that were compared: the newest with masks in both runs."""
    first_step: int | None
    last_step: int | None
    in_both: int
    """Same class, mask IoU of at least 0.5."""
    only: tuple[OneSided, OneSided]
    """Of the first run, of the second."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs side by side; the label differences are of the first run with each other one."""

    runs: tuple[RunFigures, ...]
    config: Mapping[str, tuple[Any, ...]]
    """Only what differs: dotted key -> one value per run."""
    labels: tuple[LabelDifferences, ...]


def compare_runs(
    store: Store,
    rows: Sequence[RunRow],
    *,
    first_step: int | None = None,
    last_step: int | None = None,
    examples: int = 5,
) -> Comparison:
    """Compare two or more runs.

    Args:
        first_step, last_step: which pseudo-labels count, inclusive; None = open.
        examples: how many one-sided labels are named per run.
    """
    return Comparison(
        runs=tuple(_figures(store, row, first_step, last_step) for row in rows),
        config=config_differences([row.config for row in rows]),
        labels=tuple(
            label_differences(store, (rows[0], row), first_step, last_step, examples)
            for row in rows[1:]
        ),
    )


def label_differences(
    store: Store,
    runs: tuple[RunRow, RunRow],
    first_step: int | None = None,
    last_step: int | None = None,
    examples: int = 5,
) -> LabelDifferences:
    """What one run keeps and the other does not, on the newest images and steps they share."""
    source, places = _shared(store, runs, first_step, last_step)
    both = [_kept_of(store, run, source, places) for run in runs]
    matched = _match(both[0], both[1])
    steps = [place.step for place in places]
    return LabelDifferences(
        run_ids=(runs[0].run_id, runs[1].run_id),
        source=source.name.lower(),
        places=len(places),
        first_step=min(steps, default=None),
        last_step=max(steps, default=None),
        in_both=int(matched[0].sum()),
        only=(
            _one_sided(runs[0], both[0], ~matched[0], examples),
            _one_sided(runs[1], both[1], ~matched[1], examples),
        ),
    )


@dataclass(frozen=True, slots=True)
class _Kept:
    """Kept labels of a run at some places, N in all, with where each place begins."""

    columns: Mapping[str, np.ndarray]
    masks: tuple[Rle, ...]
    by_place: Mapping[Place, list[int]]

    def at(self, place: Place) -> tuple[list[int], ImageLabels]:
        indices = self.by_place.get(place, [])
        masks = tuple(self.masks[index] for index in indices)
        return indices, ImageLabels(self.columns["label"][indices].astype(np.int64), masks)


def _figures(store: Store, row: RunRow, first: int | None, last: int | None) -> RunFigures:
    since = -1 if first is None else first - 1
    found = step_summaries(store, row.run_id, since_step=since, max_points=EVERY_STEP)
    summaries = [one for one in found if last is None or one.step <= last]
    return RunFigures(
        run_id=row.run_id,
        name=row.name,
        method=row.method,
        status=row.status,
        scores=model_scores(evaluations(store, row.run_id)),
        kept=kept_labels(summaries),
        steps=(summaries[0].step, summaries[-1].step) if summaries else None,
    )


def _shared(
    store: Store, runs: tuple[RunRow, RunRow], first: int | None, last: int | None
) -> tuple[LabelSource, list[Place]]:
    """Where both runs have labels with masks: in training, else on probe images."""
    ids = (runs[0].run_id, runs[1].run_id)
    for source in (LabelSource.PSEUDO, LabelSource.PROBE_TEACHER, LabelSource.PROBE_STUDENT):
        places = common_places(
            store, ids, source, first_step=first, last_step=last, limit=MAX_PLACES
        )
        if places:
            return source, places
    return LabelSource.PSEUDO, []


def _kept_of(store: Store, run: RunRow, source: LabelSource, places: Sequence[Place]) -> _Kept:
    steps = [place.step for place in places]
    window = LabelFilter(
        source=source,
        first_step=min(steps, default=0),
        last_step=max(steps, default=-1),
        kept=True,
    )
    columns = label_columns(store, run.run_id, window, COLUMNS)
    where = [Place(*one) for one in zip(*(columns[n].tolist() for n in Place._fields), strict=True)]
    wanted = set(places)
    chosen = np.array([place in wanted for place in where], np.bool_)
    columns = {name: values[chosen] for name, values in columns.items()}
    masks = label_masks(store, columns["label_id"].tolist())
    by_place: dict[Place, list[int]] = {}
    for index, place in enumerate(place for place in where if place in wanted):
        by_place.setdefault(place, []).append(index)
    return _Kept(columns, tuple(masks[one] for one in columns["label_id"].tolist()), by_place)


def _match(left: _Kept, right: _Kept) -> tuple[BoolArray, BoolArray]:
    """Which kept labels of each run the other keeps too."""
    ours, theirs = (np.zeros(len(one.masks), np.bool_) for one in (left, right))
    for place in left.by_place.keys() & right.by_place.keys():
        (a, left_labels), (b, right_labels) = left.at(place), right.at(place)
        ours[a], theirs[b] = same_labels(left_labels, right_labels)
    return ours, theirs


def _one_sided(run: RunRow, kept: _Kept, chosen: BoolArray, examples: int) -> OneSided:
    names = [category.name for category in run.categories]
    columns = {name: values[chosen] for name, values in kept.columns.items()}
    kinds = [ErrorKind(kind).name.lower() for kind in columns["kind"].tolist()]
    classes = [names[label] if label < len(names) else str(label) for label in columns["label"]]
    best = np.argsort(-columns["score"], kind="stable")[:examples].tolist()
    return OneSided(
        count=len(kinds),
        kinds={kind: kinds.count(kind) for kind in sorted(set(kinds))},
        classes={name: classes.count(name) for name in sorted(set(classes))},
        examples=tuple(
            (
                int(columns["step"][index]),
                int(columns["image_id"][index]),
                classes[index],
                kinds[index],
                round(float(columns["score"][index]), 4),
            )
            for index in best
        ),
    )
