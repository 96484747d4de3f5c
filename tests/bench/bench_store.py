"""What recording costs and how fast the store answers: python -m tests.bench.bench_store [ROWS].

Ratios matter, not seconds: everything is measured in one run, on the machine at hand.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.schema import CreateIndex, CreateTable

from lab.config import RunConfig
from lab.datasets.records import LabelSource, PseudoLabels
from lab.store import tables
from lab.store.database import VARIABLE
from lab.store.packing import pack, placed_rows, row_values
from lab.store.queries import LabelFilter, find_labels, label_columns, scalar_series
from lab.store.recorder import StoreRecorder
from lab.store.runs import create_run, run_number
from lab.store.statements import column_names, insert_sql
from lab.store.store import Store
from tests.factories import pseudo_labels
from tests.postgres_server import HOW_TO_GET_IT, find_programs, running_server

STEPS = 200
STEP_SECONDS = 0.02
IMAGES, PER_IMAGE = 8, 25
WHAT_IF = ("class_quality", "mask_quality", "score", "kind", "kept", "duplicate")


def main(rows: int = 500_000) -> None:
    made = [pseudo_labels(PER_IMAGE, image_id=i, seed=i) for i in range(IMAGES)]
    with tempfile.TemporaryDirectory() as root:
        report("training thread, us per step", blocking_cost(Path(root) / "paced", made))
        report(f"ingest of {rows:,} labels", ingest(Path(root), made, rows))
        with Store.open(Path(root) / "full", read_only=True) as store:
            report("questions, ms (best of 5)", questions(store))
        programs = find_programs()
        if programs is None:
            report(f"the same on PostgreSQL: {HOW_TO_GET_IT}", {})
            return
        with running_server(programs, "-c fsync=on") as socket:
            url = f"postgresql+psycopg://seglab@/postgres?host={socket}"
            with Store.open(Path(root) / "served", url=url) as store:
                report(
                    f"ingest of {rows:,} labels on PostgreSQL", ingest_on_server(store, made, rows)
                )
                report("questions on PostgreSQL, ms (best of 5)", questions(store))


def blocking_cost(root: Path, made: list[PseudoLabels]) -> dict[str, str]:
    """Time inside the recorder's calls, between steps that compute as training does.

    After a step a call finds nothing of its own in the processor's caches: one that does nothing
    is measured, too, in turns with the others.
    """
    values = {f"loss/{index}": 0.5 for index in range(12)}
    with Store.open(root) as store, StoreRecorder(store, create_run(store, RunConfig())) as rec:
        calls: dict[str, tuple[Callable[[int, Any], object], object]] = {
            "12 scalars": (rec.scalars, values),
            "200 labels": (rec.pseudo_labels, lambda: made),
            "a call that does nothing": (nothing, None),
        }
        times = {name: np.empty(STEPS) for name in calls}
        for step in range(STEPS):
            for name, (call, argument) in calls.items():
                compute(STEP_SECONDS)
                begin = time.perf_counter()
                call(step, argument)
                times[name][step] = time.perf_counter() - begin
    return {
        name: f"p50 {np.quantile(t, 0.5) * 1e6:.1f}  p99 {np.quantile(t, 0.99) * 1e6:.1f}"
        for name, t in times.items()
    }


def nothing(step: int, argument: object) -> None:
    """What a call costs by being measured."""


def compute(seconds: float) -> None:
    """What training does meanwhile: numbers, without Python's lock."""
    end = time.perf_counter() + seconds
    matrix = np.ones((256, 256), np.float32)
    while time.perf_counter() < end:
        matrix @ matrix


def ingest(root: Path, made: list[PseudoLabels], rows: int) -> dict[str, str]:
    """Rows per second through the recorder, against executemany of the same rows and indexes."""
    steps = rows // (IMAGES * PER_IMAGE)
    plain = plain_rate(root / "plain.db", made, min(steps, 500))
    with Store.open(root / "full") as store:
        rate = recorder_rate(store, made, steps)
    size = (root / "full" / "store.db").stat().st_size
    return {
        "recorder": f"{rate:,.0f} rows/s, {size / rows:.0f} bytes per label (every 10th mask kept)",
        "sqlite3.executemany": f"{plain:,.0f} rows/s with the same columns and indexes",
        "ratio": f"{rate / plain:.2f}",
    }


def ingest_on_server(store: Store, made: list[PseudoLabels], rows: int) -> dict[str, str]:
    """As `ingest`; against psycopg's executemany of the same rows."""
    rate = recorder_rate(store, made, rows // (IMAGES * PER_IMAGE))
    with store.reading() as connection:
        size = store.database.size(connection)
    return {
        "recorder": f"{rate:,.0f} rows/s, {size / rows:.0f} bytes per label (every 10th mask kept)",
        **{name: f"{rate:,.0f} rows/s" for name, rate in server_rates(store, made).items()},
    }


def server_rates(store: Store, made: list[PseudoLabels]) -> dict[str, float]:
    """Rows per second into `labels`, rolled back afterwards: COPY against INSERT."""
    rows: list[tuple[object, ...]] = []
    for step in range(100):
        for labels in made:
            place = (2, int(LabelSource.PSEUDO), step, labels.image_id)
            rows += placed_rows(row_values(pack(labels)), 10**9 + len(rows), place)
    columns = column_names(tables.labels)[: len(rows[0])]
    insert = insert_sql(tables.labels, columns, "%s")
    rates: dict[str, float] = {}
    for name in ("COPY", "executemany"):
        with store.appending() as connection:
            begin = time.perf_counter()
            if name == "COPY":
                store.database.insert(connection, tables.labels, columns, rows)
            else:
                connection.exec_driver_sql(insert, rows)
            rates[name] = len(rows) / (time.perf_counter() - begin)
            connection.rollback()
    return rates


def recorder_rate(store: Store, made: list[PseudoLabels], steps: int) -> float:
    """Rows per second from the first call to the last row in the store."""
    run_id = create_run(store, RunConfig())
    begin = time.perf_counter()
    with StoreRecorder(store, run_id, keep_every=10) as recorder:
        for step in range(steps):
            recorder.pseudo_labels(step, made)
            recorder.scalars(step, {"loss": 1.0})
    return steps * IMAGES * PER_IMAGE / (time.perf_counter() - begin)


def plain_rate(path: Path, made: list[PseudoLabels], steps: int) -> float:
    table = tables.labels
    packed = [pack(labels) for labels in made]
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(str(CreateTable(table)))
    for index in table.indexes:
        connection.execute(str(CreateIndex(index)))
    begin = time.perf_counter()
    next_id = 1
    for start in range(0, steps, 20):
        rows: list[tuple[object, ...]] = []
        for step in range(start, start + 20):
            for labels, records in zip(made, packed, strict=True):
                place = (1, int(LabelSource.PSEUDO), step, labels.image_id)
                rows += placed_rows(row_values(records), next_id, place)
                next_id += len(records)
        with connection:
            connection.executemany(insert_sql(table, column_names(table)[: len(rows[0])]), rows)
    seconds = time.perf_counter() - begin
    connection.close()
    return (next_id - 1) / seconds


def questions(store: Store) -> dict[str, str]:
    with store.reading() as connection:
        run_id = connection.execute(select(tables.runs.c.run_id)).scalar_one()
        run_number(connection, run_id)
        step = connection.exec_driver_sql("SELECT max(step) / 2 FROM step_summaries").scalar_one()
    url = store.environment[VARIABLE]
    page = LabelFilter(first_step=step, last_step=step, label=2)
    everything = LabelFilter()
    image = LabelFilter(image_id=3)
    return {
        "open and close, read-only": best(
            lambda: Store.open(store.root, url=url, read_only=True).close()
        ),
        "50 lowest mask quality of a class at a step": best(
            lambda: find_labels(store, run_id, page, limit=50)
        ),
        "one image through all steps, first 48": best(
            lambda: find_labels(store, run_id, image, sort="step")
        ),
        "what-if columns of all labels": best(
            lambda: label_columns(store, run_id, everything, WHAT_IF)
        ),
        "a curve, thinned to 1,000 points": best(lambda: scalar_series(store, run_id, ["loss"])),
    }


def best(act: Callable[[], object]) -> str:
    times: list[float] = []
    for _ in range(5):
        begin = time.perf_counter()
        act()
        times.append(time.perf_counter() - begin)
    return f"{min(times) * 1e3:.2f}  (first {times[0] * 1e3:.2f})"


def report(title: str, rows: dict[str, str]) -> None:
    lines = [title, *(f"  {name:<46}{value}" for name, value in rows.items())]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
