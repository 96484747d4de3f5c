"""`seglab export`: labels as COCO or CSV, curves as CSV, or the whole run for another store."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated, assert_never

import numpy as np
import typer

from app.commands.options import (
    FirstStep,
    LastStep,
    RunKey,
    StoreRoot,
    check_window,
    open_reader,
    window_in_words,
)
from app.commands.terminal import CommandFailed, WrongUse, byte_size, note
from lab.datasets.coco import write_coco
from lab.datasets.records import Annotation, Dataset, ErrorKind, ImageRecord, Rle
from lab.store.bundle import SUFFIX, write_bundle
from lab.store.queries import (
    LABEL_COLUMNS,
    LabelFilter,
    RunRow,
    get_run,
    images_of,
    label_columns,
    label_masks,
    scalar_names,
    scalar_series,
)
from lab.store.store import Store

COCO_COLUMNS = ("label_id", "step", "image_id", "label", "x1", "y1", "x2", "y2", "area")
ALL_POINTS = 2**31
LINES_AT_ONCE = 10_000
"""Numbers of so many labels are objects of Python at a time: those take ten times the room."""


class Format(StrEnum):
    """What to write."""

    COCO = "coco"
    CSV = "csv"
    SCALARS = "scalars"
    RUN = "run"


def export(
    run: RunKey,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write.", dir_okay=False)],
    format: Annotated[
        Format | None,
        typer.Option(
            help="coco: a dataset of the newest pseudo-labels of each image; "
            "csv: every label with all its numbers; scalars: every curve, as csv; "
            "run: the whole run, for seglab import.  [default: run for FILE.seglab, csv for "
            "FILE.csv, else coco]"
        ),
    ] = None,
    dropped: Annotated[
        bool, typer.Option("--dropped", help="Also labels that a threshold dropped.")
    ] = False,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="run: with its checkpoints.")
    ] = False,
    first: FirstStep = None,
    last: LastStep = None,
    store_root: StoreRoot = None,
) -> None:
    """Write RUN's labels or curves to FILE for other tools, or all of it for other stores."""
    check_window(first, last)
    format = format or format_of(out)
    if checkpoints and format is not Format.RUN:
        raise WrongUse(f"--checkpoints go into a whole run only: FILE{SUFFIX}")
    if format is Format.RUN:
        if dropped or first is not None or last is not None:
            raise WrongUse("a whole run is exported with all its labels and steps")
        export_run(store_root, run, out, checkpoints=checkpoints)
        return
    chosen = LabelFilter(first_step=first, last_step=last, kept=None if dropped else True)
    with open_reader(store_root) as store:
        row = get_run(store, run)
        match format:
            case Format.COCO:
                count = export_coco(store, row, chosen, out)
            case Format.CSV:
                count = export_labels(store, row, chosen, out)
            case Format.SCALARS:
                count = export_scalars(store, row, first, last, out)
            case _:
                assert_never(format)
    if count == 0:
        note(f"run {row.run_id} has nothing to export in {window_in_words(first, last)}")
    note(f"{out}: {count} {'points' if format is Format.SCALARS else 'labels'}")


def format_of(out: Path) -> Format:
    """What the name of the file asks for."""
    return {SUFFIX: Format.RUN, ".csv": Format.CSV}.get(out.suffix.lower(), Format.COCO)


def export_run(store_root: Path | None, run: str, out: Path, *, checkpoints: bool) -> None:
    """One file that `seglab import` takes into another store."""
    with open_reader(store_root) as store:
        row = get_run(store, run)
        write_bundle(store, row.run_id, out, checkpoints=checkpoints)
    if row.status in ("running", "stopping"):
        note(f"run {row.run_id} goes on: the file holds it as it was at step {row.step}")
    note(f"{out}: run {row.run_id}, {byte_size(out.stat().st_size)}")


def export_coco(store: Store, run: RunRow, chosen: LabelFilter, out: Path) -> int:
    """A COCO instances json; of each image the labels of its newest step. Returns their number.

    Raises:
        CommandFailed: some of these labels were recorded without their masks (`record.keep`).
    """
    columns = label_columns(store, run.run_id, chosen, COCO_COLUMNS)
    newest = newest_of_each_image(columns["image_id"], columns["step"])
    columns = {name: values[newest] for name, values in columns.items()}
    masks = label_masks(store, columns["label_id"].tolist())
    missing = len(columns["label_id"]) - len(masks)
    if missing:
        raise CommandFailed(
            f"{missing} labels were recorded without their masks (record.keep): choose a window "
            "with --from and --to that ends at a step that kept them"
        )
    images = images_of(store, run.run_id, "train")
    write_coco(pseudo_dataset(run, images, columns, masks), out)
    return len(masks)


def newest_of_each_image(image_ids: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """(N,) bool: is a label of the newest step of its image."""
    if len(image_ids) == 0:
        return np.zeros(0, dtype=bool)
    _, index = np.unique(image_ids, return_inverse=True)
    newest = np.full(index.max() + 1, -1, dtype=np.int64)
    np.maximum.at(newest, index, steps)
    return steps == newest[index]


def pseudo_dataset(
    run: RunRow,
    images: Sequence[ImageRecord],
    columns: dict[str, np.ndarray],
    masks: dict[int, Rle],
) -> Dataset:
    """The run's images with pseudo-labels in the place of the truth; annotation ids from 1."""
    found: dict[int, list[Annotation]] = {image.image_id: [] for image in images}
    lists = [columns[name].tolist() for name in COCO_COLUMNS]
    for index, values in enumerate(zip(*lists, strict=True), start=1):
        label_id, _, image_id, label, x1, y1, x2, y2, area = values
        found[image_id].append(Annotation(index, label, (x1, y1, x2, y2), area, masks[label_id]))
    labelled = tuple(replace(image, annotations=tuple(found[image.image_id])) for image in images)
    return Dataset(f"pseudo-labels of {run.run_id}", run.categories, labelled)


def export_labels(store: Store, run: RunRow, chosen: LabelFilter, out: Path) -> int:
    """One line per label, all its columns; kinds and classes by name. Returns the number."""
    columns = label_columns(store, run.run_id, chosen, LABEL_COLUMNS)
    names = np.array([category.name for category in run.categories] or [""], dtype=object)
    kinds = np.array([kind.name.lower() for kind in ErrorKind], dtype=object)
    columns["kind"] = kinds[columns["kind"].astype(np.int64)]
    for name in ("label", "label_before"):
        columns[name] = names[columns[name].astype(np.int64)]
    with replacing(out) as file:
        writer = csv.writer(file)
        writer.writerow(LABEL_COLUMNS)
        for start in range(0, len(columns["label_id"]), LINES_AT_ONCE):
            part = slice(start, start + LINES_AT_ONCE)
            lists = (columns[name][part].tolist() for name in LABEL_COLUMNS)
            writer.writerows(zip(*lists, strict=True))
    return len(columns["label_id"])


def export_scalars(
    store: Store, run: RunRow, first: int | None, last: int | None, out: Path
) -> int:
    """Lines of step, name, value. Returns their number."""
    names = scalar_names(store, run.run_id)
    since = -1 if first is None else first - 1
    series = scalar_series(store, run.run_id, names, since_step=since, max_points=ALL_POINTS)
    points = [
        (step, name, value)
        for name, one in series.items()
        for step, value in zip(one.steps.tolist(), one.values.tolist(), strict=True)
        if last is None or step <= last
    ]
    with replacing(out) as file:
        writer = csv.writer(file)
        writer.writerow(("step", "name", "value"))
        writer.writerows(points)
    return len(points)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[str]]:
    """A text file that takes the place of `path` when all of it is written, else not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
