"""Plain sqlite3: the table of labels with its columns and indexes, and no thread of its own."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy.schema import CreateIndex, CreateTable

from lab.store import tables
from lab.store.packing import placed_rows, row_values
from lab.store.statements import column_names, insert_sql
from tests.bench.peers.contest import LABEL, PER_IMAGE, WORST, Labels, main

STEPS_PER_COMMIT = 20
QUESTION = (
    "SELECT mask_quality FROM labels WHERE run = 1 AND source = 0 AND step = ? AND label = ? "
    "ORDER BY mask_quality LIMIT ?"
)


class PlainSqlite:
    """executemany into a file in WAL mode: scalars are committed each step, labels each 20."""

    def start(self, directory: Path) -> None:
        directory.mkdir()
        self.connection = sqlite3.connect(directory / "plain.db")
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")
        for table in (tables.labels, tables.scalars):
            self.connection.execute(str(CreateTable(table)))
            for index in table.indexes:
                self.connection.execute(str(CreateIndex(index)))
        self.next_id = 1

    def scalars(self, step: int, values: dict[str, float]) -> None:
        rows = [(1, number, step, value) for number, value in enumerate(values.values())]
        with self.connection:
            statement = insert_sql(tables.scalars, column_names(tables.scalars))
            self.connection.executemany(statement, rows)

    def labels(self, step: int, labels: Labels) -> None:
        rows: list[tuple[object, ...]] = []
        for image_id, part in enumerate(labels.reshape(-1, PER_IMAGE)):
            rows += placed_rows(row_values(part), self.next_id, (1, 0, step, image_id))
            self.next_id += len(part)
        columns = column_names(tables.labels)[: len(rows[0])]
        self.connection.executemany(insert_sql(tables.labels, columns), rows)
        if (step + 1) % STEPS_PER_COMMIT == 0:
            self.connection.commit()

    def finish(self) -> None:
        self.connection.commit()

    def worst(self, step: int) -> list[float]:
        return [row[0] for row in self.connection.execute(QUESTION, (step, LABEL, WORST))]


if __name__ == "__main__":
    main(PlainSqlite)
