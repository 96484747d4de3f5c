"""Questions about the datasets of a run: what they hold, without their masks, and some images."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select

from lab.datasets.records import Annotation, Category, Dataset, ImageRecord
from lab.store import tables
from lab.store.image_queries import Split, dataset_ids, read_images
from lab.store.store import Store

TRUTH = tables.truths.c
OF_A_TRUTH = (
    *(TRUTH.image_id, TRUTH.annotation_id, TRUTH.label),
    *(TRUTH.x1, TRUTH.y1, TRUTH.x2, TRUTH.y2),
    *(TRUTH.area, TRUTH.is_crowd),
)
"""Not the mask: it is most of the bytes."""


def dataset_keys(store: Store, run_id: str) -> dict[Split, str | None]:
    """A key that changes with the content, by split; None = none is attached."""
    table = tables.datasets.c
    with store.reading() as connection:
        return {
            split: connection.scalar(
                select(table.content_key).where(table.dataset_id == dataset_id)
            )
            for split, dataset_id in dataset_ids(connection, run_id).items()
        }


def dataset_without_masks(store: Store, run_id: str, split: Split) -> Dataset | None:
    """The whole dataset in its order, every mask left out; None when none is attached.

    Takes seconds where there are a million objects.
    """
    table = tables.datasets.c
    with store.reading() as connection:
        dataset_id = dataset_ids(connection, run_id)[split]
        row = connection.execute(
            select(table.name, table.categories).where(table.dataset_id == dataset_id)
        ).one_or_none()
        if row is None or dataset_id is None:
            return None
        truth = _truth_without_masks(connection, dataset_id)
        images = read_images(connection, store.root, dataset_id, truth=truth)
    return Dataset(row.name, tuple(Category(**one) for one in row.categories), tuple(images))


def images_by_id(
    store: Store, run_id: str, split: Split, image_ids: Collection[int]
) -> list[ImageRecord]:
    """Some images of a split with their whole truth, in the order of the dataset."""
    with store.reading() as connection:
        dataset_id = dataset_ids(connection, run_id)[split]
        return read_images(connection, store.root, dataset_id, image_ids)


def _truth_without_masks(connection: Connection, dataset_id: int) -> dict[int, list[Annotation]]:
    query = select(*OF_A_TRUTH).where(TRUTH.dataset_id == dataset_id).order_by(TRUTH.truth)
    found: dict[int, list[Annotation]] = {}
    for image_id, number, label, *box, area, is_crowd in connection.execute(query):
        truth = Annotation(number, label, tuple(box), area, None, is_crowd)
        found.setdefault(image_id, []).append(truth)
    return found
