"""Questions about the datasets of a store: what they hold, and which runs use them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, case, func, select

from lab.datasets.records import Category
from lab.store.store import Store
from lab.store.tables import datasets, images, truths


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """Images with their truth, as one part (training or validation) of a run's data."""

    dataset_id: int
    content_key: str
    """The same for the same content."""
    name: str
    categories: tuple[Category, ...]
    num_images: int


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """The objects of one class, crowds left out."""

    label: int
    objects: int
    images: int
    """How many images show one."""
    below: tuple[int, ...]
    """Objects with fewer mask pixels than each bound that was asked for."""
    without_mask: int


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """What is in a dataset."""

    classes: tuple[ClassFacts, ...]
    """Those that have objects, by label."""
    crowds: int
    empty_images: int
    """Images without any object, crowds counted as objects."""
    widths: tuple[int, int]
    """Narrowest and widest image, pixels; (0, 0) without images."""
    heights: tuple[int, int]


def list_datasets(store: Store) -> list[DatasetRow]:
    """Every dataset of the store, in the order in which runs brought them."""
    with store.reading() as connection:
        rows = connection.execute(select(datasets).order_by(datasets.c.dataset_id)).all()
    return [
        DatasetRow(
            row.dataset_id,
            row.content_key,
            row.name,
            tuple(Category(**one) for one in row.categories),
            row.num_images,
        )
        for row in rows
    ]


def dataset_facts(store: Store, dataset: DatasetRow, areas: Sequence[float] = ()) -> DatasetFacts:
    """Count a dataset's objects: a second for the 860,000 of COCO. `areas` bounds their sizes."""
    ours = truths.c.dataset_id == dataset.dataset_id
    with store.reading() as connection:
        rows = connection.execute(_by_class(areas).where(ours)).all()
        crowds, shown = connection.execute(
            select(
                func.count(case((truths.c.is_crowd, 1))), func.count(truths.c.image_id.distinct())
            ).where(ours)
        ).one()
        sides = connection.execute(_SIDES.where(images.c.dataset_id == dataset.dataset_id)).one()
    return DatasetFacts(
        classes=tuple(_class_facts(*row) for row in rows),
        crowds=crowds,
        empty_images=dataset.num_images - shown,
        widths=(sides.narrow or 0, sides.wide or 0),
        heights=(sides.low or 0, sides.high or 0),
    )


def _class_facts(label: int, objects: int, shown: int, maskless: int, *below: int) -> ClassFacts:
    return ClassFacts(label, objects, shown, below, maskless)


_SIDES = select(
    func.min(images.c.width).label("narrow"),
    func.max(images.c.width).label("wide"),
    func.min(images.c.height).label("low"),
    func.max(images.c.height).label("high"),
)


def _by_class(areas: Sequence[float]) -> Select[Any]:
    column = truths.c
    smaller = [func.count(case((column.area < area, 1))) for area in areas]
    maskless = func.count(case((column.mask_counts.is_(None), 1)))
    counts = (func.count(), func.count(column.image_id.distinct()), maskless, *smaller)
    return (
        select(column.label, *counts)
        .where(~column.is_crowd)
        .group_by(column.label)
        .order_by(column.label)
    )
