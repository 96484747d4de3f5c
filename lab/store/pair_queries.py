"""Questions about several runs at once."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import text

from lab.datasets.records import LabelSource
from lab.store.runs import run_number
from lab.store.store import Store

HAS_MASKS = (
    "({0}.kept = 0 OR EXISTS "
    "(SELECT 1 FROM label_masks AS m WHERE m.label_id = {0}.first_label_id))"
)
"""Masks are kept for all labels of an image and step, or for none."""


class Place(NamedTuple):
    """An image at a step."""

    step: int
    image_id: int


def common_places(
    store: Store,
    run_ids: tuple[str, str],
    source: LabelSource = LabelSource.PSEUDO,
    *,
    first_step: int | None = None,
    last_step: int | None = None,
    limit: int = 400,
) -> list[Place]:
    """Where both runs recorded labels with masks, the newest step first."""
    with store.reading() as connection:
        left, right = (run_number(connection, run_id) for run_id in run_ids)
        first = 0 if first_step is None else first_step
        last = 2**31 if last_step is None else last_step
        found = connection.execute(
            text(
                "SELECT a.step, a.image_id FROM label_sets AS a JOIN label_sets AS b "
                "ON b.source = a.source AND b.step = a.step AND b.image_id = a.image_id "
                "WHERE a.run = :left AND b.run = :right AND a.source = :source "
                "AND a.step BETWEEN :first AND :last "
                f"AND {HAS_MASKS.format('a')} AND {HAS_MASKS.format('b')} "
                "ORDER BY a.step DESC, a.image_id LIMIT :limit"
            ),
            {
                **{"left": left, "right": right, "source": int(source)},
                **{"first": first, "last": last, "limit": limit},
            },
        ).all()
    return [Place(*row) for row in found]


def recorded_places(
    store: Store, run_id: str, source: LabelSource, *, limit: int = 20_000
) -> list[Place]:
    """The images a run recorded labels of and when, the newest step first."""
    with store.reading() as connection:
        found = connection.execute(
            text(
                "SELECT step, image_id FROM label_sets WHERE run = :run AND source = :source "
                "ORDER BY step DESC, image_id LIMIT :limit"
            ),
            {"run": run_number(connection, run_id), "source": int(source), "limit": limit},
        ).all()
    return [Place(*row) for row in found]
