"""`seglab what-if-check`: did a run's threshold plane foretell what re-training kept?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import (
    FirstStep,
    Json,
    LastStep,
    RunKey,
    StoreRoot,
    check_window,
    open_reader,
)
from app.commands.row_files import replacing
from app.commands.terminal import (
    WrongUse,
    kind_name,
    note,
    number,
    percent,
    say,
    say_json,
    say_table,
)
from app.foresight import NotComparable, Trial, foretell
from app.foresight_plot import draw_foresight
from lab.analysis.foresight import kind_shares
from lab.analysis.what_if import JUDGED, Answer


def what_if_check(
    run: RunKey,
    others: Annotated[
        list[str],
        typer.Argument(metavar="OTHER...", help="Runs from the same checkpoint, other thresholds."),
    ],
    first: FirstStep = None,
    last: LastStep = None,
    plot: Annotated[
        Path | None, typer.Option(help="Also draw it, as .svg.", dir_okay=False)
    ] = None,
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """What RUN's recorded labels foretold of other thresholds, beside what training with them gave.

    OTHER runs are forked from the same checkpoint as RUN, or from RUN itself, and differ in their
    thresholds. RUN comes first: about itself the two agree.
    """
    check_window(first, last)
    if plot is not None and plot.suffix != ".svg":
        raise WrongUse(f"--plot {plot}: expected a name that ends in .svg")
    with open_reader(store_root) as store:
        try:
            trials = foretell(store, run, others, first, last)
        except NotComparable as error:
            raise WrongUse(str(error)) from None
    if json:
        say_json(trials)
    else:
        _say_trials(trials)
    if plot is not None:
        with replacing(plot) as file:
            file.write(draw_foresight(trials))
        note(f"{plot}: {len(trials)} runs")


def _say_trials(trials: list[Trial]) -> None:
    kinds = (kind_name(kind) for kind in JUDGED)
    headings = ("thresholds", "run", "", "kept", "precision", "recall", *kinds, "AP")
    rows = [row for trial in trials for row in _rows(trial)]
    say_table(headings, rows, words=3)
    say()
    say_table(
        ("thresholds", "kept: happened / foretold", "precision", "recall", "of another kind"),
        [_gaps(trial) for trial in trials],
    )
    for trial in trials:
        if trial.differs_in:
            note(f"{trial.name} also differs in: {', '.join(trial.differs_in)}")


def _rows(trial: Trial) -> tuple[tuple[object, ...], ...]:
    both = trial.foresight
    return (
        (trial.thresholds, trial.name, "foretold", *_numbers(both.foretold), ""),
        ("", "", "happened", *_numbers(both.happened), number(trial.ap)),
    )


def _numbers(answer: Answer) -> tuple[object, ...]:
    shares = (percent(share) for share in kind_shares(answer))
    return (answer.kept, percent(answer.precision), percent(answer.recall), *shares)


def _gaps(trial: Trial) -> tuple[object, ...]:
    both = trial.foresight
    points = (number(100 * gap) for gap in (both.precision_gap, both.recall_gap))
    ratio = number(both.kept_ratio, digits=2)
    return (trial.thresholds, ratio, *points, percent(both.mix_distance))
