"""`seglab what-if`: what other thresholds would have kept, and how right that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer

from app.axes import Axes, choose_axes
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
    without_labels,
)
from app.commands.terminal import (
    CommandFailed,
    WrongUse,
    kind_name,
    number,
    percent,
    say,
    say_json,
    say_table,
)
from app.thresholds import Thresholds, own_thresholds, thresholds_of
from lab.analysis.threshold_grid import passes
from lab.analysis.what_if import JUDGED, Answer
from lab.store.queries import get_run, recorded_scores

Threshold = typer.Option(min=0.0, max=1.0, help="Keep labels of at least this.")


@dataclass(frozen=True, slots=True)
class Case:
    """Thresholds with their answer."""

    name: str
    rule: str
    answer: Answer


def what_if(  # noqa: PLR0913
    run: RunKey,
    class_threshold: Annotated[float | None, Threshold] = None,
    mask_threshold: Annotated[float | None, Threshold] = None,
    coupled: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Instead: one threshold on the product of both."),
    ] = None,
    x: Annotated[
        str | None,
        typer.Option(
            metavar="SCORE",
            help="Another score than the class quality, such as box_score.  [default: what the "
            "method decides by]",
        ),
    ] = None,
    y: Annotated[
        str | None,
        typer.Option(metavar="SCORE", help="... than the mask quality, such as pixel_score."),
    ] = None,
    x_threshold: Annotated[float | None, Threshold] = None,
    y_threshold: Annotated[float | None, Threshold] = None,
    first: FirstStep = None,
    last: LastStep = None,
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """What other thresholds would have kept of RUN's pseudo-labels, against the hidden truth.

    Beside it: what the run's own thresholds keep, and the pair with the best F1 in hindsight.
    A threshold that is not given stays the run's own. Thresholds are on two scores of the labels:
    class and mask quality, or any that the run has (--x, --y).
    """
    check_window(first, last)
    named = {"class_quality": class_threshold, "mask_quality": mask_threshold}
    placed = (x_threshold, y_threshold)
    if coupled is not None and any(bar is not None for bar in (*named.values(), *placed)):
        raise WrongUse("--coupled stands alone: it replaces both other thresholds")
    with open_reader(store_root) as store:
        row = get_run(store, run)
        axes = _axes(recorded_scores(store, row.run_id), x, y, named)
        candidates = load_candidates(store, row, first, last, axes)
        if len(candidates) == 0:
            raise CommandFailed(without_labels(store, row, window_in_words(first, last)))
    asked = _asked(axes, named, placed)
    plane = Plane(candidates, axes)
    bars = own_thresholds(row.config)
    own = (bars.get(axes.x, 0.0), bars.get(axes.y, 0.0))
    cases = [_own_case(plane, thresholds_of(row.config), own)]
    if coupled is not None:
        cases.append(plane.coupled("asked", coupled))
    elif asked != (None, None):
        both = (bar if bar is not None else mine for bar, mine in zip(asked, own, strict=True))
        cases.append(plane.pair("asked", *both))
    cases += plane.best()
    if json:
        answer = {"run_id": row.run_id, "num_truths": candidates.num_truths, "axes": axes}
        say_json(answer | {"cases": cases})
    else:
        say(f"{row.name} ({row.run_id}), {window_in_words(first, last)}")
        _say_cases(cases)


@dataclass(frozen=True, slots=True)
class Plane:
    """Candidates and the two scores they are placed by."""

    candidates: Candidates
    axes: Axes

    def pair(self, name: str, x_threshold: float, y_threshold: float) -> Case:
        at, (x, y) = self.candidates.points, self.axes.shorts
        chosen = passes(at.x, at.y, x_threshold, y_threshold)
        rule = f"{x} {x_threshold:g}, {y} {y_threshold:g}"
        return Case(name, rule, self.candidates.answer(chosen))

    def coupled(self, name: str, bar: float) -> Case:
        chosen = self.candidates.points.product >= np.float32(bar)
        x, y = self.axes.shorts
        return Case(name, f"{x} x {y} {bar:g}", self.candidates.answer(chosen))

    def best(self) -> list[Case]:
        """The pair with the best F1; nothing without truths."""
        everything = np.ones_like(self.candidates.duplicates)
        best = self.candidates.histogram(everything).best_f1()
        return [] if best is None else [self.pair("best F1", best.x_threshold, best.y_threshold)]


def _axes(
    recorded: Sequence[str], x: str | None, y: str | None, named: Mapping[str, float | None]
) -> Axes:
    """The scores that are asked for; a threshold on class or mask quality asks for these two."""
    if x is None and y is None and any(bar is not None for bar in named.values()):
        return Axes()
    try:
        axes = choose_axes(recorded, x, y)
    except ValueError as error:
        raise WrongUse(f"--{error}") from None
    for name, bar in named.items():
        if bar is not None and name not in (axes.x, axes.y):
            option = f"--{name.removesuffix('_quality')}-threshold"
            raise WrongUse(f"{option}: neither --x nor --y is {name}")
    return axes


def _asked(
    axes: Axes, named: Mapping[str, float | None], placed: tuple[float | None, float | None]
) -> tuple[float | None, float | None]:
    """The thresholds on x and y, however they were given."""
    x, y = (
        bar if bar is not None else named.get(name)
        for name, bar in zip((axes.x, axes.y), placed, strict=True)
    )
    return x, y


def _own_case(plane: Plane, rule: Thresholds, own: tuple[float, float]) -> Case:
    if rule.kind == "coupled" and plane.axes.is_decoupled:
        return plane.coupled("now", rule.coupled)
    return plane.pair("now", *own)


def _say_cases(cases: list[Case]) -> None:
    has_iou = any(case.answer.mean_true_iou is not None for case in cases)
    of_boxes = ("mean true IoU",) if has_iou else ()
    kinds = (kind_name(kind) for kind in JUDGED)
    say_table(
        ("", "thresholds", "kept", *of_boxes, "precision", "recall", *kinds),
        [
            (
                case.name,
                case.rule,
                case.answer.kept,
                *(number(case.answer.mean_true_iou, 3) for _ in of_boxes),
                percent(case.answer.precision),
                percent(case.answer.recall),
                *(case.answer.kinds[kind] for kind in JUDGED),
            )
            for case in cases
        ],
        words=2,
    )
