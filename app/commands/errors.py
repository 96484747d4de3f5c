"""`seglab errors`: what is right and wrong with a run's pseudo-labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer

from app.commands.mask_report import report_masks, say_report
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
from app.commands.terminal import CommandFailed, kind_name, percent, say, say_json, say_table
from lab.datasets.records import BoolArray, Category, ErrorKind, IntArray
from lab.store.queries import (
    LabelFilter,
    LabelRow,
    RunRow,
    find_labels,
    get_run,
    label_columns,
)
from lab.store.store import Store

KINDS = (ErrorKind.COR, ErrorKind.LOC, ErrorKind.SIM, ErrorKind.OTH, ErrorKind.BG)
WRONG = KINDS[1:]


@dataclass(frozen=True, slots=True)
class Breakdown:
    """How a set of labels divides into kinds."""

    total: int
    kinds: dict[str, int]
    """By kind name, UNKNOWN and IGNORED included."""
    duplicates: int
    """Of the Cor: a better-scored label already had the same truth."""


def errors(
    run: RunKey,
    first: FirstStep = None,
    last: LastStep = None,
    worst: Annotated[
        int, typer.Option(min=0, max=1000, help="How many of the most confident mistakes to list.")
    ] = 5,
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """Break RUN's pseudo-labels down into Cor, Loc, Sim, Oth and BG, kept ones and all.

    Where masks were made from boxes also: how well they fit the hidden masks over time (single =
    what the best candidate alone would have given, where several were fused), and how well each
    score ranks them by that (Spearman's rho: 1 = as the truth does, 0 = not at all).
    """
    check_window(first, last)
    chosen = LabelFilter(first_step=first, last_step=last)
    with open_reader(store_root) as store:
        row = get_run(store, run)
        columns = label_columns(store, row.run_id, chosen, ("kind", "kept", "label", "duplicate"))
        mistakes = find_mistakes(store, row.run_id, first, last, worst)
        masks = report_masks(store, row.run_id, first, last)
        if len(columns["kind"]) == 0:
            raise CommandFailed(without_labels(store, row, window_in_words(first, last)))
    kinds, kept, labels = columns["kind"], columns["kept"].astype(bool), columns["label"]
    twice = columns["duplicate"].astype(bool)
    sets = {"kept": break_down(kinds, twice, kept), "all": break_down(kinds, twice, ~kept | kept)}
    classes = {
        category.name: break_down(kinds, twice, kept & (labels == index))
        for index, category in enumerate(row.categories)
    }
    if json:
        answer = {"run_id": row.run_id, **sets, "kept_per_class": classes, "worst": mistakes}
        say_json(answer | {"masks": masks})
        return
    say(f"{row.name} ({row.run_id}), {window_in_words(first, last)}")
    _say_breakdowns("labels", sets)
    if masks is not None:
        say_report(masks)
    _say_breakdowns("kept, per class", classes)
    _say_mistakes(row, mistakes)


def break_down(kinds: IntArray, duplicates: BoolArray, chosen: BoolArray) -> Breakdown:
    """Count the chosen labels by kind. All arrays (N,)."""
    counts = np.bincount(kinds[chosen], minlength=len(ErrorKind))
    return Breakdown(
        total=int(chosen.sum()),
        kinds={kind.name.lower(): int(counts[kind]) for kind in ErrorKind},
        duplicates=int((duplicates & chosen & (kinds == ErrorKind.COR)).sum()),
    )


def find_mistakes(
    store: Store, run_id: str, first: int | None, last: int | None, limit: int
) -> list[LabelRow]:
    """The kept labels that are wrong, the highest score first."""
    if limit == 0:
        return []
    wrong = LabelFilter(first_step=first, last_step=last, kinds=WRONG, kept=True)
    return find_labels(store, run_id, wrong, sort="score", descending=True, limit=limit).rows


def _say_breakdowns(title: str, sets: dict[str, Breakdown]) -> None:
    say()
    say_table(
        (title, "labels", *(kind_name(kind) for kind in KINDS), "duplicates"),
        [
            (name, one.total, *(_share(one, kind) for kind in KINDS), one.duplicates)
            for name, one in sets.items()
        ],
    )


def _share(breakdown: Breakdown, kind: ErrorKind) -> str:
    judged = sum(breakdown.kinds[one.name.lower()] for one in KINDS)
    return percent(breakdown.kinds[kind.name.lower()] / judged if judged else None)


def _say_mistakes(run: RunRow, mistakes: list[LabelRow]) -> None:
    if not mistakes:
        return
    say()
    say_table(
        ("most confident mistakes", "kind", "step", "image", "score", "class", "mask", "true IoU"),
        [
            (
                class_name(run.categories, one.label),
                kind_name(one.kind),
                one.step,
                one.image_id,
                f"{one.score:.2f}",
                f"{one.class_quality:.2f}",
                f"{one.mask_quality:.2f}",
                f"{one.true_iou:.2f}",
            )
            for one in mistakes
        ],
        words=2,
    )


def class_name(categories: tuple[Category, ...], label: int) -> str:
    """The name of a contiguous label, or its number when the run does not know it."""
    return categories[label].name if 0 <= label < len(categories) else str(label)
