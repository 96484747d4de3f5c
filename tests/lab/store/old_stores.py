"""Stores of every schema version, kept as SQL text: what migrations are tested on.

python -m tests.lab.store.old_stores writes the files of the version this checkout has, one of
labels and one of masks made from boxes. A released version's files are never written again: they
have to be what that version really made.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from lab.store.runs import add_event, create_run
from lab.store.schema import newest_version
from lab.store.sqlite import APPLICATION_ID
from lab.store.store import Store
from tests.app.boxed_runs import record_boxes
from tests.app.commands.conftest import CONFIG, record_by_hand

DIRECTORY = Path(__file__).parent / "stores"


def path_of(version: int) -> Path:
    return DIRECTORY / f"version-{version}.sql"


def boxes_path_of(version: int) -> Path:
    """Of a store with a run of masks made from boxes; there are such from version 3 on."""
    return DIRECTORY / f"version-{version}-boxes.sql"


def restore(path: Path, root: Path) -> None:
    """Make `root` the store that was written as this SQL text."""
    root.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(root / "store.db")
    connection.executescript(path.read_text(encoding="utf-8"))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def fill_with_labels(store: Store) -> None:
    """Two runs, the second a fork, with an event."""
    parent = record_by_hand(store)
    add_event(store, parent, 8, "thresholds", {"mask_threshold": 0.75})
    create_run(store, CONFIG, parent_run_id=parent, parent_step=10)


def fill_with_boxes(store: Store) -> None:
    """One run of two steps."""
    record_boxes(store, store.root / "pictures", steps=2)


def write_store(path: Path, fill: Callable[[Store], None]) -> None:
    """What `fill` leaves in a new store, as SQL text without local names."""
    with tempfile.TemporaryDirectory() as root:
        with Store.open(Path(root)) as store:
            fill(store)
        with sqlite3.connect(Path(root) / "store.db") as connection:
            connection.execute(
                "UPDATE origins SET git_diff = NULL, machine = 'lab', versions = '{}'"
            )
            connection.execute("UPDATE pulses SET machine = 'lab', boot_id = 'first'")
            text = "\n".join(connection.iterdump()).replace(root, "/data")
    pragmas = (
        f"PRAGMA page_size = 8192;\nPRAGMA application_id = {APPLICATION_ID};\n"
        f"PRAGMA user_version = {newest_version()};\n"
    )
    path.write_text(pragmas + text + "\n", encoding="utf-8")


if __name__ == "__main__":
    for path, fill in (
        (path_of(newest_version()), fill_with_labels),
        (boxes_path_of(newest_version()), fill_with_boxes),
    ):
        write_store(path, fill)
        sys.stdout.write(f"{path}\n")
