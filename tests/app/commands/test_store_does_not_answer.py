"""What a verb says when the database under it fails: one sentence, no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from app.cli import main
from lab.store.store import Store

Captured = pytest.CaptureFixture[str]


def damage(store: Store, *tables: str) -> Path:
    """Zero the first page of each table and of its indexes; the file that was damaged."""
    database = store.root / "store.db"
    query = text("SELECT rootpage FROM sqlite_master WHERE tbl_name = :table AND rootpage > 1")
    with store.writing() as connection:
        size = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
        pages = [
            page for table in tables for page in connection.scalars(query, {"table": table}).all()
        ]
    store.close()
    content = bytearray(database.read_bytes())
    for page in pages:
        content[(page - 1) * size : page * size] = bytes(size)
    database.write_bytes(content)
    return database


@pytest.mark.parametrize("verb", [["runs"], ["jobs", "ls"], ["gc"]])
def test_a_damaged_table_is_one_sentence_and_exit_code_1(
    verb: list[str], store: Store, recorded: str, capsys: Captured
):
    damage(store, "runs", "jobs")

    assert main([*verb, "--store", str(store.root)]) == 1

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "seglab: the store does not answer: database disk image is malformed\n"


def test_a_database_that_cannot_be_opened_is_bad_input_that_names_the_file(
    store: Store, recorded: str, capsys: Captured
):
    database = store.root / "store.db"
    store.close()
    database.write_bytes(b"no database" * 100)

    assert main(["runs", "--store", str(store.root)]) == 2

    assert capsys.readouterr().err == (
        f"seglab: {database}: cannot be opened: file is not a database\n"
    )
