"""Questions about a run's images, events, evaluations, checkpoints, and about sizes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, Row, func, select

from lab.datasets.records import Annotation, ImageRecord, Rle
from lab.store import tables
from lab.store.errors import StoreError
from lab.store.jsonable import number
from lab.store.rows import CheckpointRow, EvaluationRow, EventRow, RunSize, StoreSizes
from lab.store.runs import run_number
from lab.store.store import Store

Split = Literal["train", "val"]
TruthByImage = Mapping[int, Sequence[Annotation]]


def image_record(
    store: Store, run_id: str, image_id: int, split: Split | None = None
) -> ImageRecord:
    """An image of the run with its truth: of the training images, else of the validation images.

    Args:
        split: which of the two alone; both may use the same ids.

    Raises:
        StoreError: there is no such image.
    """
    with store.reading() as connection:
        for name, dataset_id in dataset_ids(connection, run_id).items():
            if split not in (None, name):
                continue
            found = read_images(connection, store.root, dataset_id, [image_id])
            if found:
                return found[0]
    raise StoreError(f"run {run_id}: image {image_id} is in none of its datasets")


def images_of(store: Store, run_id: str, split: Split) -> list[ImageRecord]:
    """The images of a split with their truth, in the order of the dataset; none when unattached."""
    with store.reading() as connection:
        dataset_id = dataset_ids(connection, run_id)[split]
        return read_images(connection, store.root, dataset_id)


def events(store: Store, run_id: str, since_id: int = 0) -> list[EventRow]:
    """What happened to the run after event `since_id`, oldest first."""
    table = tables.events.c
    with store.reading() as connection:
        rows = connection.execute(
            select(table.event_id, table.step, table.kind, table.payload, table.created)
            .where(table.run == run_number(connection, run_id), table.event_id > since_id)
            .order_by(table.event_id)
        ).all()
    return [EventRow(*row) for row in rows]


def evaluations(store: Store, run_id: str) -> list[EvaluationRow]:
    """Every evaluation of the run, by step, then split and model."""
    table = tables.evaluations
    with store.reading() as connection:
        rows = connection.execute(
            select(table)
            .where(table.c.run == run_number(connection, run_id))
            .order_by(table.c.step, table.c.split, table.c.model)
        ).all()
    return [
        EvaluationRow(
            step=row.step,
            split=row.split,
            model=row.model,
            metrics={name: number(value) for name, value in row.metrics.items()},
            per_class={name: number(value) for name, value in row.per_class.items()},
            kinds=row.kinds,
        )
        for row in rows
    ]


def checkpoints(store: Store, run_id: str) -> list[CheckpointRow]:
    """Every checkpoint that was written, by step; `exists` tells which are still there."""
    table = tables.checkpoints.c
    directory = store.run_directory(run_id)
    with store.reading() as connection:
        rows = connection.execute(
            select(table.step, table.path, table.created)
            .where(table.run == run_number(connection, run_id))
            .order_by(table.step)
        ).all()
    return [CheckpointRow(step, directory / path, created) for step, path, created in rows]


def store_sizes(store: Store) -> StoreSizes:
    """Bytes of the database, and what each run holds, newest first."""
    with store.reading() as connection:
        known = connection.execute(
            select(tables.runs.c.run, tables.runs.c.run_id, tables.runs.c.name).order_by(
                tables.runs.c.run.desc()
            )
        ).all()
        sizes = [_run_size(connection, store, *row) for row in known]
        return StoreSizes(store.database.size(connection), tuple(sizes))


def _run_size(connection: Connection, store: Store, run: int, run_id: str, name: str) -> RunSize:
    summaries, scalars = tables.step_summaries.c, tables.scalars.c
    labels = connection.scalar(select(func.sum(summaries.candidates)).where(summaries.run == run))
    counted = select(func.count()).select_from(tables.scalars).where(scalars.run == run)
    directory = store.run_directory(run_id)
    return RunSize(
        run_id=run_id,
        name=name,
        scalars=connection.scalar(counted) or 0,
        labels=labels or 0,
        file_bytes=sum(file.stat().st_size for file in directory.rglob("*") if file.is_file()),
    )


def dataset_ids(connection: Connection, run_id: str) -> dict[Split, int | None]:
    """The datasets of a run; None = none is attached."""
    run = run_number(connection, run_id)
    table = tables.runs.c
    train, val = connection.execute(
        select(table.train_dataset_id, table.val_dataset_id).where(table.run == run)
    ).one()
    return {"train": train, "val": val}


def read_images(
    connection: Connection,
    root: Path,
    dataset_id: int | None,
    image_ids: Collection[int] | None = None,
    truth: TruthByImage | None = None,
) -> list[ImageRecord]:
    """Images of a dataset in its order, all of them or some, with `truth` or their whole truth."""
    images = tables.images
    query = select(images).where(images.c.dataset_id == dataset_id).order_by(images.c.position)
    if image_ids is not None:
        query = query.where(images.c.image_id.in_(image_ids))
    rows = connection.execute(query).all()
    if truth is None:
        truth = _truth_by_image(connection, dataset_id, image_ids)
    return [_image(row, truth.get(row.image_id, ()), root) for row in rows]


def _truth_by_image(
    connection: Connection, dataset_id: int | None, image_ids: Collection[int] | None
) -> TruthByImage:
    truths = tables.truths
    query = select(truths).where(truths.c.dataset_id == dataset_id).order_by(truths.c.truth)
    if image_ids is not None:
        query = query.where(truths.c.image_id.in_(image_ids))
    by_image: dict[int, list[Annotation]] = {}
    for row in connection.execute(query):
        by_image.setdefault(row.image_id, []).append(_truth(row))
    return by_image


def _image(row: Row, truth: Sequence[Annotation], root: Path) -> ImageRecord:
    return ImageRecord(
        image_id=row.image_id,
        path=present_path(Path(row.path), root),
        height=row.height,
        width=row.width,
        annotations=tuple(truth),
        depth_path=None if row.depth_path is None else present_path(Path(row.depth_path), root),
    )


def present_path(recorded: Path, root: Path) -> Path:
    """Where a file of a dataset is now: a store that moved took the images it generated along."""
    parts = recorded.parts
    home = len(parts) - parts[::-1].index("datasets") if "datasets" in parts else len(parts)
    if home == len(parts) or not parts[home].startswith("shapes-"):
        return recorded
    moved = root.joinpath("datasets", *parts[home:])
    return moved if moved.exists() and not recorded.exists() else recorded


def _truth(row: Row) -> Annotation:
    mask = None
    if row.mask_counts is not None:
        mask = Rle(row.mask_height, row.mask_width, row.mask_counts)
    return Annotation(
        annotation_id=row.annotation_id,
        label=row.label,
        box=(row.x1, row.y1, row.x2, row.y2),
        area=row.area,
        mask=mask,
        is_crowd=row.is_crowd,
    )
