"""One recorded run's threshold plane against runs that were trained with other thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.candidates import Candidates, load_candidates
from app.scores import last_evaluation
from app.thresholds import Thresholds, thresholds_of
from lab.analysis.foresight import Foresight
from lab.analysis.threshold_grid import passes
from lab.config import flatten
from lab.datasets.records import BoolArray
from lab.store.queries import RunRow, evaluations, get_run, label_steps
from lab.store.store import Store

THRESHOLD_KEYS = frozenset(
    f"method.{key}" for key in ("class_threshold", "mask_threshold", "coupled_threshold", "ddtf")
)
NAN = float("nan")


class NotComparable(ValueError):
    """Two runs of which one cannot foretell the other; the message says why."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a plane foretold for one run, and what that run recorded."""

    run_id: str
    name: str
    thresholds: str
    first_step: int
    last_step: int
    foresight: Foresight
    ap: float
    """Of the run's last evaluation, 0..100; NaN without one."""
    differs_in: tuple[str, ...]
    """Config keys other than thresholds that set the two runs apart."""


def foretell(
    store: Store, key: str, others: Sequence[str], first: int | None, last: int | None
) -> list[Trial]:
    """What the plane of run `key` says of the thresholds of `others`, beside what they recorded.

    The first trial is the run itself, for which the two agree. Steps are those that both recorded,
    from where they part, within first..last.

    Raises:
        NotComparable: the runs do not come from one checkpoint, or have no step in common.
    """
    origin = get_run(store, key)
    rows = [origin, *(get_run(store, other) for other in others)]
    return [_trial(store, origin, row, first, last) for row in rows]


def kept_under(candidates: Candidates, rule: Thresholds) -> BoolArray:
    """(N,) which candidates, placed by class and mask quality, a rule keeps."""
    at = candidates.points
    if rule.kind == "coupled":
        return at.product >= np.float32(rule.coupled)
    return passes(at.x, at.y, rule.class_quality, rule.mask_quality)


def rule_in_words(rule: Thresholds) -> str:
    """ "class 0.3, mask 0.8", "class 0.3" or "class x mask 0.24"."""
    if rule.kind == "coupled":
        return f"class x mask {rule.coupled:g}"
    mask = f", mask {rule.mask_quality:g}" if rule.kind == "dual" else ""
    return f"class {rule.class_quality:g}{mask}"


def _trial(store: Store, origin: RunRow, row: RunRow, first: int | None, last: int | None) -> Trial:
    start, end = _window(store, origin, row, first, last)
    rule = thresholds_of(row.config)
    foretelling = load_candidates(store, origin, start, end)
    recorded = load_candidates(store, row, start, end)
    foretold = foretelling.answer(kept_under(foretelling, rule))
    score = last_evaluation(evaluations(store, row.run_id))
    return Trial(
        run_id=row.run_id,
        name=row.name,
        thresholds=rule_in_words(rule),
        first_step=start,
        last_step=end,
        foresight=Foresight(foretold, recorded.answer(recorded.kept)),
        ap=score.metrics.get("AP", NAN) if score else NAN,
        differs_in=differences(origin, row),
    )


def differences(one: RunRow, other: RunRow) -> tuple[str, ...]:
    """Config keys, thresholds and name aside, in which two runs differ."""
    mine, theirs = flatten(one.config), flatten(other.config)
    keys = [key for key in mine | theirs if mine.get(key) != theirs.get(key)]
    return tuple(sorted(key for key in keys if key not in THRESHOLD_KEYS | {"name"}))


def _window(
    store: Store, origin: RunRow, row: RunRow, first: int | None, last: int | None
) -> tuple[int, int]:
    """First and last step that both recorded since they parted."""
    since = _parted_at(origin, row)
    mine, theirs = (
        {int(step) for step in label_steps(store, one.run_id) if step >= since}
        for one in (origin, row)
    )
    end = min(max(mine, default=-1), max(theirs, default=-1), 2**31 if last is None else last)
    start = max(since, first or 0)
    shared = sorted(step for step in mine & theirs if start <= step <= end)
    if not shared:
        raise NotComparable(
            f"{origin.name} ({origin.run_id}) and {row.name} ({row.run_id}) recorded no "
            f"pseudo-labels in the same steps since step {start}"
        )
    window = (shared[0], shared[-1])
    lone = sorted(step for step in mine ^ theirs if window[0] <= step <= window[1])
    if lone:
        raise NotComparable(
            f"{origin.run_id} and {row.run_id} recorded different steps, such as {lone[0]}: "
            "record.every has to be the same"
        )
    return window


def _parted_at(origin: RunRow, row: RunRow) -> int:
    """The step at which two runs begin to differ."""
    same_start = origin.parent_run_id == row.parent_run_id and origin.parent_step == row.parent_step
    if origin.run_id == row.run_id or (same_start and row.parent_run_id is not None):
        return row.parent_step or 0
    if row.parent_run_id == origin.run_id:
        return row.parent_step or 0
    if same_start and origin.config["seed"] == row.config["seed"]:
        return 0
    raise NotComparable(
        f"{row.name} ({row.run_id}) does not start where {origin.name} ({origin.run_id}) does: "
        "both have to be forked from one checkpoint, or one from the other"
    )
