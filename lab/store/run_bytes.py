"""How many bytes a run takes, by kind: rows in the database and files in its directory."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Connection, text

from lab.store.row_bytes import BYTES_PER_SCALAR, mask_bytes, score_bytes
from lab.store.runs import run_number
from lab.store.store import Store

MASKS_OF_A_SET = "m.label_id BETWEEN s.first_label_id AND s.first_label_id + s.candidates - 1"
"""label_masks m of label_sets s. Said with CROSS JOIN, which makes SQLite begin with the sets."""
FILE_KINDS = {"checkpoints": "checkpoints", "predictions": "predictions", "log.txt": "logs"}

Mark = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class RunBytes:
    """Bytes by kind. Rows are estimated from their number, masks and files are measured."""

    masks: int = 0
    scores: int = 0
    """Pseudo-labels with all their numbers."""
    curves: int = 0
    checkpoints: int = 0
    predictions: int = 0
    logs: int = 0
    other: int = 0
    """Other files of the run's directory."""

    @property
    def total(self) -> int:
        return sum(getattr(self, name) for name in self.__dataclass_fields__)


def run_bytes(store: Store, run_id: str) -> RunBytes:
    """What the run takes now. Reads all of its masks: a second per few million."""
    return replace(bytes_of_rows(store, run_id), **bytes_of_files(store, run_id))


def bytes_of_rows(store: Store, run_id: str) -> RunBytes:
    """Its masks, scores and curves alone; what takes time."""
    with store.reading() as connection:
        run = run_number(connection, run_id)
        counted = "SELECT coalesce(sum(candidates), 0), count(*) FROM label_sets WHERE run = :run"
        labels, sets = connection.execute(text(counted), {"run": run}).one()
        counted = "SELECT count(*) FROM scalars WHERE run = :run"
        points = connection.execute(text(counted), {"run": run}).scalar_one()
        masks = mask_bytes(*count_masks(connection, run))
    return RunBytes(masks=masks, scores=score_bytes(labels, sets), curves=BYTES_PER_SCALAR * points)


def bytes_of_files(store: Store, run_id: str) -> dict[str, int]:
    """Bytes in the run's directory by kind, those that there are."""
    directory = store.run_directory(run_id)
    sizes: dict[str, int] = {}
    for path in directory.iterdir() if directory.is_dir() else ():
        kind = FILE_KINDS.get(path.name, "other")
        sizes[kind] = sizes.get(kind, 0) + tree_bytes(path)
    return sizes


def row_marks(store: Store) -> dict[str, Mark]:
    """By run id, newest first, numbers that change when rows of the run come or go.

    Quick: it reads a row per recorded step, none per label.
    """
    query = (
        "SELECT r.run_id, max(p.step), sum(s.images), sum(s.candidates), "
        "(SELECT max(e.event_id) FROM events AS e WHERE e.run = r.run) FROM runs AS r "
        "LEFT JOIN pulses AS p ON p.run = r.run LEFT JOIN step_summaries AS s ON s.run = r.run "
        "GROUP BY r.run, r.run_id ORDER BY r.run DESC"
    )
    with store.reading() as connection:
        return {run_id: tuple(mark) for run_id, *mark in connection.execute(text(query))}


def count_masks(connection: Connection, run: int, condition: str = "1 = 1") -> tuple[int, int]:
    """Number of kept masks of the run and bytes of their counts; `condition` on label_sets s."""
    counted = (
        "SELECT count(*), coalesce(sum(length(m.counts)), 0) FROM label_sets AS s "
        f"CROSS JOIN label_masks AS m WHERE {MASKS_OF_A_SET} AND s.run = :run AND {condition}"
    )
    count, size = connection.execute(text(counted), {"run": run}).one()
    return count, size


def tree_bytes(path: Path) -> int:
    """Bytes of a file, or of all files below a directory; links are not followed."""
    if not path.is_dir():
        return _file_bytes(path)
    return sum(
        _file_bytes(Path(folder) / name) for folder, _, names in os.walk(path) for name in names
    )


def _file_bytes(path: Path) -> int:
    """0 when it is gone: a run that trains removes its oldest checkpoint at any moment."""
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0
