"""Questions about one image over time: which images have a past, and the steps of one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sqlalchemy import func, select

from lab.datasets.records import IntArray, LabelSource
from lab.store.runs import run_number
from lab.store.store import Store
from lab.store.tables import label_sets


@dataclass(frozen=True, slots=True)
class ImagePast:
    """How often labels of an image were recorded."""

    image_id: int
    visits: int
    """Steps."""
    kept: int
    """Kept labels of all of them."""


def image_pasts(store: Store, run_id: str, source: LabelSource) -> list[ImagePast]:
    """The images of the run, the most often visited first; ties by kept labels, then id."""
    c = label_sets.c
    visits, kept = func.count().label("visits"), func.sum(c.kept).label("kept")
    with store.reading() as connection:
        rows = connection.execute(
            select(c.image_id, visits, kept)
            .where(c.run == run_number(connection, run_id), c.source == int(source))
            .group_by(c.image_id)
            .order_by(visits.desc(), kept.desc(), c.image_id)
        ).all()
    return [ImagePast(image_id, visited, int(total)) for image_id, visited, total in rows]


def image_steps(store: Store, run_id: str, source: LabelSource, image_id: int) -> IntArray:
    """The steps at which this image was looked at, ascending, those without any label included."""
    c = label_sets.c
    with store.reading() as connection:
        found = connection.scalars(
            select(c.step)
            .where(
                c.run == run_number(connection, run_id),
                c.source == int(source),
                c.image_id == image_id,
            )
            .order_by(c.step)
        ).all()
    return np.array(found, np.int64)
