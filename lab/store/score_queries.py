"""Which scores the labels of a run have: methods record different ones."""

from __future__ import annotations

import numpy as np
from sqlalchemy import select

from lab.datasets.records import LabelSource
from lab.store.packing import BOX_COLUMNS, FLOAT_COLUMNS, unpack, unpack_boxes
from lab.store.runs import run_number
from lab.store.store import Store
from lab.store.tables import label_sets

SAMPLED_SETS = 50
"""So many images at the beginning and at the end of a run are looked at."""


def recorded_scores(
    store: Store, run_id: str, source: LabelSource = LabelSource.PSEUDO
) -> tuple[str, ...]:
    """Float columns that hold a number in the first or the newest labels, in a fixed order."""
    c = label_sets.c
    with store.reading() as connection:
        wanted = select(c.candidates, c.packed, c.packed_boxes).where(
            c.run == run_number(connection, run_id), c.source == int(source), c.candidates > 0
        )
        sample = [
            row
            for order in ((c.step, c.image_id), (c.step.desc(), c.image_id.desc()))
            for row in connection.execute(wanted.order_by(*order).limit(SAMPLED_SETS))
        ]
    if not sample:
        return ()
    sizes, packed, boxes = zip(*sample, strict=True)
    plain, boxed = unpack(packed), unpack_boxes(boxes, sizes)
    return tuple(
        name
        for name in FLOAT_COLUMNS
        if not np.isnan((boxed if name in BOX_COLUMNS else plain)[name]).all()
    )
