"""`seglab compare`: runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from app.commands.options import (
    FirstStep,
    Json,
    LastStep,
    StoreRoot,
    check_window,
    open_reader,
    window_in_words,
)
from app.commands.terminal import WrongUse, kind_name, number, percent, say, say_json, say_table
from lab.analysis.compare import ModelScores
from lab.analysis.run_comparison import (
    Comparison,
    LabelDifferences,
    OneSided,
    RunFigures,
    compare_runs,
)
from lab.datasets.records import ErrorKind
from lab.store.queries import get_run

METRICS = ("AP", "AP50", "AP75")
KINDS = (ErrorKind.COR, ErrorKind.LOC, ErrorKind.SIM, ErrorKind.OTH, ErrorKind.BG)


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="Two runs or more.")],
    first: FirstStep = None,
    last: LastStep = None,
    examples: Annotated[
        int, typer.Option(min=0, max=1000, help="How many labels that only one run keeps to list.")
    ] = 5,
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """Compare runs: what differs in their configs, scores, kept labels and classes.

    The labels of the first run are also compared one by one with those of each other run, on the
    same images at the same steps: same class and mask IoU of at least 0.5 are one label.
    """
    check_window(first, last)
    with open_reader(store_root) as store:
        rows = [get_run(store, key) for key in runs]
        if len({row.run_id for row in rows}) < max(2, len(rows)):
            raise WrongUse("compare takes two different runs or more")
        found = compare_runs(store, rows, first_step=first, last_step=last, examples=examples)
    if json:
        say_json(found)
        return
    _say_config(found)
    _say_scores(found)
    _say_kept(found, window_in_words(first, last))
    _say_classes(found)
    for one in found.labels:
        _say_labels(found, one)


def headings(found: Comparison) -> list[str]:
    """How each run is called: by name, and by id where names are equal."""
    names = [run.name for run in found.runs]
    return [
        run.name if names.count(run.name) == 1 else f"{run.name} {run.run_id}" for run in found.runs
    ]


def last_scores(run: RunFigures) -> ModelScores | None:
    """Of the network that is reported: the teacher, where there is one."""
    return run.scores.get("teacher") or run.scores.get("student")


def _say_config(found: Comparison) -> None:
    lines = [(key, *map(_value, values)) for key, values in found.config.items()]
    if lines:
        say_table(("config", *headings(found)), lines, words=1 + len(found.runs))
    else:
        say("the configs do not differ")


def _value(value: object) -> str:
    return "-" if value is None else str(value)


def _say_scores(found: Comparison) -> None:
    lines: list[Sequence[object]] = []
    for name, run in zip(headings(found), found.runs, strict=True):
        for model, scores in run.scores.items():
            final = [number(scores.final.get(metric)) for metric in METRICS]
            best = [number(scores.best.get(metric)) for metric in METRICS]
            lines.append((name, model, scores.final_step, *final, scores.best_step, *best))
    if lines:
        say()
        best = tuple(f"best {metric}" for metric in METRICS)
        say_table(("run", "network", "at step", *METRICS, "best at", *best), lines, words=2)


def _say_kept(found: Comparison, window: str) -> None:
    say()
    lines: list[Sequence[object]] = []
    for name, run in zip(headings(found), found.runs, strict=True):
        kinds = [run.kept.kinds[kind.name.lower()] for kind in KINDS]
        shares = [percent(count / sum(kinds) if sum(kinds) else None) for count in kinds]
        rates = (percent(run.kept.precision), percent(run.kept.recall))
        steps = "-" if run.steps is None else f"{run.steps[0]}-{run.steps[1]}"
        lines.append((name, steps, run.kept.candidates, run.kept.kept, *rates, *shares))
    columns = ("steps", "candidates", "kept", "precision", "recall", *map(kind_name, KINDS))
    say_table((f"pseudo-labels, {window}", *columns), lines)
    if len({run.steps for run in found.runs if run.steps is not None}) > 1:
        say("not the same steps of each run: --from and --to choose some that all have")


def _say_classes(found: Comparison) -> None:
    scores = [last_scores(run) for run in found.runs]
    names = {name: None for one in scores if one for name in one.per_class}
    lines = [
        (name, *(number(one.per_class.get(name)) if one else "-" for one in scores))
        for name in names
    ]
    if lines:
        say()
        say_table(("AP of a class", *headings(found)), lines)


def _say_labels(found: Comparison, one: LabelDifferences) -> None:
    ids = [run.run_id for run in found.runs]
    names = [headings(found)[ids.index(run_id)] for run_id in one.run_ids]
    say()
    if not one.places:
        say(f"{names[0]} and {names[1]} share no image at any step with masks: nothing to compare")
        return
    say(
        f"{names[0]} and {names[1]} on {one.places} shared images ({one.source} labels, steps "
        f"{one.first_step} to {one.last_step}): {one.in_both} kept by both"
    )
    lines = [_side(f"only {name}", side) for name, side in zip(names, one.only, strict=True)]
    say_table(("kept by", "labels", *map(kind_name, KINDS)), lines)
    for name, side in zip(names, one.only, strict=True):
        _say_examples(name, side)


def _side(name: str, side: OneSided) -> tuple[object, ...]:
    return (name, side.count, *(side.kinds.get(kind.name.lower(), 0) for kind in KINDS))


def _say_examples(name: str, side: OneSided) -> None:
    if side.examples:
        lines = [
            (class_name, kind, step, image, f"{score:.2f}")
            for step, image, class_name, kind, score in side.examples
        ]
        say_table((f"only {name}", "kind", "step", "image", "score"), lines, words=2)
