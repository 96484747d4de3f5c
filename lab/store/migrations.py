"""Every step from one schema version to the next. Never edited once released, only added to.

The statements are written out: a migration makes what its version had, whatever tables.py says now.
PostgreSQL stores began at version 3: the steps up to there are SQLite's alone, later ones run on
both. FLOAT is right for both; bytes are BLOB in the one and BYTEA in the other.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

Migration = Callable[[Connection], None]

QUEUE = (
    """CREATE TABLE jobs (
        run INTEGER NOT NULL, stage VARCHAR(16) NOT NULL, priority INTEGER NOT NULL,
        position INTEGER NOT NULL, needs VARCHAR(16) NOT NULL, directory TEXT NOT NULL,
        queued FLOAT NOT NULL, attempt INTEGER NOT NULL, cancels INTEGER NOT NULL, worker INTEGER,
        slot VARCHAR(16), taken FLOAT, machine TEXT, pid INTEGER, process_started FLOAT,
        boot_id TEXT, exit_code INTEGER, PRIMARY KEY (run))""",
    "CREATE INDEX jobs_in_line ON jobs (stage, priority, position)",
    """CREATE TABLE workers (
        worker INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, machine TEXT NOT NULL,
        pid INTEGER NOT NULL, process_started FLOAT NOT NULL, boot_id TEXT NOT NULL,
        heartbeat FLOAT NOT NULL, started FLOAT NOT NULL, slots JSON NOT NULL)""",
    """CREATE TABLE asks (
        ask INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL,
        changes JSON NOT NULL, author TEXT NOT NULL, created FLOAT NOT NULL, answer VARCHAR(16),
        step INTEGER, reason TEXT, answered FLOAT)""",
    "CREATE INDEX asks_of_a_run ON asks (run, answer)",
)


def add_queue(connection: Connection) -> None:
    """1 -> 2: jobs, the workers that start them, and changes asked of a run while it trains."""
    for statement in QUEUE:
        connection.exec_driver_sql(statement)


BOX_SCORES = (
    *("num_candidates", "num_effective", "box_score", "pixel_score", "mask_score", "depth_score"),
    *("match_score", "semantic_score", "instance_score", "target_iou"),
)


def add_box_scores(connection: Connection) -> None:
    """2 -> 3: how a pseudo mask was made of a box. Labels that were not have NULL."""
    connection.exec_driver_sql("ALTER TABLE labels ADD COLUMN target_id BIGINT")
    for name in BOX_SCORES:
        connection.exec_driver_sql(f"ALTER TABLE labels ADD COLUMN {name} FLOAT")
    connection.exec_driver_sql("ALTER TABLE label_sets ADD COLUMN packed_boxes BLOB")


def add_single_iou(connection: Connection) -> None:
    """3 -> 4: what fusing masks gained. `packed_boxes` that were written before stay short."""
    connection.exec_driver_sql("ALTER TABLE labels ADD COLUMN single_iou FLOAT")


MIGRATIONS: tuple[Migration, ...] = (add_queue, add_box_scores, add_single_iou)
"""MIGRATIONS[i] turns version i + 1 into i + 2."""
