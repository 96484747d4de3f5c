"""`seglab export`: labels and curves for other programs, or the whole run for another store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, assert_never

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
from app.commands.row_files import (
    PARQUET,
    Columns,
    is_special,
    whole_file,
    write_csv,
    write_parquet,
    writing,
)
from app.commands.run_rows import label_rows, scalar_rows
from app.commands.terminal import CommandFailed, WrongUse, byte_size, note
from lab.datasets.coco import write_coco
from lab.datasets.records import Annotation, Dataset, ImageRecord, Rle
from lab.store.bundle import SUFFIX, write_bundle
from lab.store.provenance import package_versions
from lab.store.queries import (
    LabelFilter,
    RunRow,
    get_run,
    images_of,
    label_columns,
    label_masks,
)
from lab.store.store import Store

COCO_COLUMNS = ("label_id", "step", "image_id", "label", "x1", "y1", "x2", "y2", "area")


class Format(StrEnum):
    """What to write."""

    COCO = "coco"
    CSV = "csv"
    PARQUET = "parquet"
    SCALARS = "scalars"
    RUN = "run"


def export(
    run: RunKey,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write.", dir_okay=False)],
    format: Annotated[
        Format | None,
        typer.Option(
            help="coco: a dataset of the newest pseudo-labels of each image; "
            "csv: every label with all its numbers; parquet: the same and its mask, as COCO RLE; "
            "scalars: every curve, as csv, or as parquet in FILE.parquet; "
            "run: the whole run, for seglab import.  [default: run for FILE.seglab, csv for "
            "FILE.csv, parquet for FILE.parquet, else coco]"
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
    if dropped and format is Format.SCALARS:
        raise WrongUse("--dropped is about labels: curves have none")
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
                count = write_csv(out, label_rows(store, row, chosen, with_masks=False))
            case Format.PARQUET:
                parts = label_rows(store, row, chosen, with_masks=True)
                count = write_parquet(out, parts, about(row))
            case Format.SCALARS:
                count = export_scalars(row, scalar_rows(store, row, first, last), out)
            case _:
                assert_never(format)
    if count == 0:
        note(f"run {row.run_id} has nothing to export in {window_in_words(first, last)}")
    note(f"{out}: {count} {'points' if format is Format.SCALARS else 'labels'}")


def format_of(out: Path) -> Format:
    """What the name of the file asks for."""
    known = {SUFFIX: Format.RUN, ".csv": Format.CSV, PARQUET: Format.PARQUET}
    return known.get(out.suffix.lower(), Format.COCO)


def about(run: RunRow) -> dict[str, str]:
    """What a file with rows of a run says about itself."""
    version = package_versions().get("seglab", "unknown")
    return {
        "seglab.run_id": run.run_id,
        "seglab.run_name": run.name,
        "seglab.version": version,
    }


def export_scalars(run: RunRow, parts: Iterator[Columns], out: Path) -> int:
    """Rows of step, name, value. Returns their number."""
    if out.suffix.lower() == PARQUET:
        return write_parquet(out, parts, about(run))
    return write_csv(out, parts)


def export_run(store_root: Path | None, run: str, out: Path, *, checkpoints: bool) -> None:
    """One file that `seglab import` takes into another store."""
    if is_special(out):
        raise WrongUse(f"{out}: a whole run goes into a file, not into a pipe or a device")
    with open_reader(store_root) as store, writing(out):
        row = get_run(store, run)
        write_bundle(store, row.run_id, out, checkpoints=checkpoints)
    if row.status in ("running", "stopping"):
        note(f"run {row.run_id} goes on: the file holds it as it was at step {row.step}")
    note(f"{out}: run {row.run_id}, {byte_size(out.stat().st_size)}")


def export_coco(store: Store, run: RunRow, chosen: LabelFilter, out: Path) -> int:
    """A COCO instances json; of each image the labels of its newest step. Returns their number.

    Raises:
        CommandFailed: some of these labels were recorded without their masks (`record.keep`), or
            on images that no dataset of the run has.
    """
    columns = label_columns(store, run.run_id, chosen, COCO_COLUMNS)
    newest = newest_of_each_image(columns["image_id"], columns["step"])
    columns = {name: values[newest] for name, values in columns.items()}
    masks = label_masks(store, columns["label_id"].tolist())
    missing = len(columns["label_id"]) - len(masks)
    if missing:
        raise CommandFailed(
            f"{missing} labels have no masks (record.keep, seglab gc): choose a window "
            "with --from and --to that ends at a step that kept them"
        )
    images = images_of(store, run.run_id, "train")
    strange = set(columns["image_id"].tolist()) - {image.image_id for image in images}
    if strange:
        raise CommandFailed(
            f"image {min(strange)} is in no dataset of run {run.run_id}, and COCO needs its file "
            "and size: FILE.parquet and FILE.csv hold its labels without"
        )
    with whole_file(out) as temporary:
        write_coco(pseudo_dataset(run, images, columns, masks), temporary)
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
