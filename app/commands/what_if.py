"""`seglab what-if`: what other thresholds would have kept, and how right that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer

from app.candidates import Candidates, load_candidates
from app.commands.options import (
    FirstStep,
    Json,
    LastStep,
    RunKey,
    StoreRoot,
    check_window,
    open_reader,
    window_in_words,
)
from app.commands.terminal import (
    CommandFailed,
    WrongUse,
    kind_name,
    percent,
    say,
    say_json,
    say_table,
)
from app.thresholds import Thresholds, thresholds_of
from lab.analysis.threshold_grid import passes
from lab.analysis.what_if import JUDGED, Answer
from lab.store.queries import get_run

Threshold = typer.Option(min=0.0, max=1.0, help="Keep labels of at least this.")


@dataclass(frozen=True, slots=True)
class Case:
    """Thresholds with their answer."""

    name: str
    rule: str
    answer: Answer


def what_if(
    run: RunKey,
    class_threshold: Annotated[float | None, Threshold] = None,
    mask_threshold: Annotated[float | None, Threshold] = None,
    coupled: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Instead: one threshold on class x mask quality."),
    ] = None,
    first: FirstStep = None,
    last: LastStep = None,
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """What other thresholds would have kept of RUN's pseudo-labels, against the hidden truth.

    Beside it: what the run's own thresholds keep, and the pair with the best F1 in hindsight.
    A threshold that is not given stays the run's own.
    """
    check_window(first, last)
    if coupled is not None and (class_threshold is not None or mask_threshold is not None):
        raise WrongUse("--coupled stands alone: it replaces both other thresholds")
    with open_reader(store_root) as store:
        row = get_run(store, run)
        candidates = load_candidates(store, row, first, last)
    if len(candidates) == 0:
        where = window_in_words(first, last)
        raise CommandFailed(f"run {row.run_id} has no pseudo-labels to keep in {where}")
    own = thresholds_of(row.config)
    cases = [_own_case(candidates, own)]
    if coupled is not None:
        cases.append(_coupled_case(candidates, "asked", coupled))
    elif class_threshold is not None or mask_threshold is not None:
        bar = own.class_quality if class_threshold is None else class_threshold
        mask_bar = own.mask_quality if mask_threshold is None else mask_threshold
        cases.append(_dual_case(candidates, "asked", bar, mask_bar))
    cases += _best_case(candidates)
    if json:
        say_json({"run_id": row.run_id, "num_truths": candidates.num_truths, "cases": cases})
    else:
        say(f"{row.name} ({row.run_id}), {window_in_words(first, last)}")
        _say_cases(cases)


def _own_case(candidates: Candidates, own: Thresholds) -> Case:
    if own.kind == "coupled":
        return _coupled_case(candidates, "now", own.coupled)
    return _dual_case(candidates, "now", own.class_quality, own.mask_quality)


def _dual_case(candidates: Candidates, name: str, bar: float, mask_bar: float) -> Case:
    chosen = passes(candidates.class_quality, candidates.mask_quality, bar, mask_bar)
    return Case(name, f"class {bar:g}, mask {mask_bar:g}", candidates.answer(chosen))


def _coupled_case(candidates: Candidates, name: str, bar: float) -> Case:
    chosen = candidates.score >= np.float32(bar)
    return Case(name, f"class x mask {bar:g}", candidates.answer(chosen))


def _best_case(candidates: Candidates) -> list[Case]:
    everything = np.ones_like(candidates.duplicates)
    best = candidates.histogram(everything).best_f1()
    if best is None:
        return []
    rule = f"class {best.x_threshold:g}, mask {best.y_threshold:g}"
    return [Case("best F1", rule, best.answer)]


def _say_cases(cases: list[Case]) -> None:
    say_table(
        ("", "thresholds", "kept", "precision", "recall", *(kind_name(kind) for kind in JUDGED)),
        [
            (
                case.name,
                case.rule,
                case.answer.kept,
                percent(case.answer.precision),
                percent(case.answer.recall),
                *(case.answer.kinds[kind] for kind in JUDGED),
            )
            for case in cases
        ],
        words=2,
    )
