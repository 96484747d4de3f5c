"""Stores of every schema version, kept as SQL text: what migrations are tested on.

python -m tests.lab.store.old_stores writes the file of the version this checkout has. A released
version's file is never written again: it has to be what that version really made.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from pathlib import Path

from lab.store.runs import add_event, create_run
from lab.store.schema import newest_version
from lab.store.sqlite import APPLICATION_ID
from lab.store.store import Store
from tests.app.commands.conftest import CONFIG, record_by_hand

DIRECTORY = Path(__file__).parent / "stores"


def path_of(version: int) -> Path:
    return DIRECTORY / f"version-{version}.sql"


def restore(version: int, root: Path) -> None:
    """Make `root` the store that this schema version left behind."""
    root.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(root / "store.db")
    connection.executescript(path_of(version).read_text(encoding="utf-8"))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def write_newest() -> Path:
    """Two runs, the second a fork, with an event; written as SQL text without local names."""
    with tempfile.TemporaryDirectory() as root:
        with Store.open(Path(root)) as store:
            parent = record_by_hand(store)
            add_event(store, parent, 8, "thresholds", {"mask_threshold": 0.75})
            create_run(store, CONFIG, parent_run_id=parent, parent_step=10)
        with sqlite3.connect(Path(root) / "store.db") as connection:
            connection.execute(
                "UPDATE origins SET git_diff = NULL, machine = 'lab', versions = '{}'"
            )
            connection.execute("UPDATE pulses SET machine = 'lab', boot_id = 'first'")
            text = "\n".join(connection.iterdump()).replace(root, "/data")
    path = path_of(newest_version())
    pragmas = (
        f"PRAGMA page_size = 8192;\nPRAGMA application_id = {APPLICATION_ID};\n"
        f"PRAGMA user_version = {newest_version()};\n"
    )
    path.write_text(pragmas + text + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    sys.stdout.write(f"{write_newest()}\n")
