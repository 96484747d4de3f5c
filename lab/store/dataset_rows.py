"""Datasets in the store: their images and truth, once per content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict

from sqlalchemy import Connection, insert, select

from lab.datasets.records import Annotation, Dataset, ImageRecord
from lab.store.database import database_of
from lab.store.statements import column_names
from lab.store.store import Store
from lab.store.tables import datasets, images, truths


def register_dataset(store: Store, dataset: Dataset) -> int:
    """Write the dataset, unless the same content is here already; returns its id either way."""
    key = content_key(dataset)
    known = select(datasets.c.dataset_id).where(datasets.c.content_key == key)
    with store.reading() as connection:
        found = connection.scalar(known)
    if found is not None:
        return found
    with store.writing() as connection:
        found = connection.scalar(known)  # another process may have been faster
        return found if found is not None else _write(connection, dataset, key)


def content_key(dataset: Dataset) -> str:
    """Equal for equal datasets: name, classes, images and truth."""
    digest = hashlib.sha256(repr((dataset.name, dataset.categories)).encode())
    for image in dataset.images:
        digest.update(repr(image).encode())
    return digest.hexdigest()


def _write(connection: Connection, dataset: Dataset, key: str) -> int:
    new = insert(datasets).values(
        content_key=key,
        name=dataset.name,
        categories=[asdict(category) for category in dataset.categories],
        num_images=len(dataset.images),
    )
    dataset_id = connection.execute(new.returning(datasets.c.dataset_id)).scalar_one()
    image_rows = [
        _image_row(dataset_id, position, image) for position, image in enumerate(dataset.images)
    ]
    database = database_of(connection)
    database.insert(connection, images, column_names(images), image_rows)
    truth_rows = list(_truth_rows(dataset_id, dataset))
    database.insert(connection, truths, column_names(truths)[1:], truth_rows)
    return dataset_id


def _image_row(dataset_id: int, position: int, image: ImageRecord) -> tuple[object, ...]:
    depth = None if image.depth_path is None else str(image.depth_path.absolute())
    path = str(image.path.absolute())
    return (dataset_id, image.image_id, position, path, image.height, image.width, depth)


def _truth_rows(dataset_id: int, dataset: Dataset) -> Iterator[tuple[object, ...]]:
    for image in dataset.images:
        for truth in image.annotations:
            yield (dataset_id, image.image_id, *_truth_values(truth))


def _truth_values(truth: Annotation) -> tuple[object, ...]:
    mask = truth.mask
    rle = (None, None, None) if mask is None else (mask.height, mask.width, mask.counts)
    return (truth.annotation_id, truth.label, *truth.box, truth.area, truth.is_crowd, *rle)
