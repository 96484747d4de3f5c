"""Opening, creating and refusing stores."""

import sqlite3
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import OperationalError

from lab.config import RunConfig
from lab.store import sqlite_connections
from lab.store.errors import StoreError, StoreTooNew
from lab.store.migrations import MIGRATIONS
from lab.store.queries import list_runs
from lab.store.runs import create_run
from lab.store.schema import create_or_migrate, newest_version
from lab.store.store import Store, default_root


def test_what_one_process_writes_another_reader_sees(store):
    run_id = create_run(store, RunConfig(name="first"))

    with Store.open(store.root, read_only=True) as reader:
        assert [(run.run_id, run.name) for run in list_runs(reader)] == [(run_id, "first")]


def test_the_file_is_in_write_ahead_mode_and_says_its_version(file_store):
    with sqlite3.connect(file_store.name) as plain:
        assert plain.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert plain.execute("PRAGMA user_version").fetchone() == (newest_version(),)


def test_a_reader_cannot_write(store):
    with Store.open(store.root, read_only=True) as reader:
        with pytest.raises(StoreError, match="opened read-only"):
            create_run(reader, RunConfig())
        with reader.reading() as connection, pytest.raises(Exception, match=r"read-?only"):
            connection.exec_driver_sql("DELETE FROM runs")


def test_there_is_nothing_to_read_where_no_store_is(tmp_path):
    with pytest.raises(StoreError, match=r"no store here.*SEGLAB_HOME"):
        Store.open(tmp_path / "nowhere", read_only=True)
    assert not (tmp_path / "nowhere").exists()


def test_a_newer_store_is_refused_by_writers_and_readers(store):
    with store.writing() as connection:
        store.database.set_version(connection, 999)

    for read_only in (True, False):
        with pytest.raises(StoreTooNew, match=r"version 999.*upgrade seglab"):
            Store.open(store.root, read_only=read_only)


def test_some_other_database_is_left_alone(tmp_path):
    path = tmp_path / "store.db"
    with sqlite3.connect(path) as plain:
        plain.execute("CREATE TABLE letters (a)")
    before = path.read_bytes()

    with pytest.raises(StoreError, match="not one that seglab made"):
        Store.open(tmp_path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "store.db").write_text("hello " * 1000)

    with pytest.raises(StoreError, match=r"store\.db: cannot be opened"):
        Store.open(tmp_path)


def test_a_root_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="file"):
        Store.open(tmp_path / "file")


def test_the_root_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("SEGLAB_HOME", "/somewhere/else")
    assert default_root() == Path("/somewhere/else")
    monkeypatch.delenv("SEGLAB_HOME")
    assert default_root() == Path("seglab-data")


@pytest.mark.parametrize("run_id", ["../up", "a/b", "", ".hidden", "a b"])
def test_a_run_directory_stays_inside_the_store(store, run_id):
    with pytest.raises(StoreError, match="letters, digits"):
        store.run_directory(run_id)


def add_mood(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE runs ADD COLUMN mood TEXT")


def cheer_up(connection: Connection) -> None:
    connection.exec_driver_sql("UPDATE runs SET mood = 'cheerful'")


def test_an_older_store_walks_forward_and_keeps_its_rows(store, run_id):
    with store.writing() as connection:
        create_or_migrate(connection, (*MIGRATIONS, add_mood, cheer_up))

    with store.reading() as connection:
        assert store.database.version(connection) == newest_version() + 2
        moods = connection.exec_driver_sql("SELECT run_id, mood FROM runs").all()
    assert moods == [(run_id, "cheerful")]


def test_a_migration_runs_once(store, run_id):
    for _ in range(2):
        with store.writing() as connection:
            create_or_migrate(connection, (*MIGRATIONS, add_mood))

    with store.reading() as connection:
        assert store.database.version(connection) == newest_version() + 1


def test_a_migration_that_fails_changes_nothing(store, run_id):
    def stumble(connection: Connection) -> None:
        raise ArithmeticError

    with pytest.raises(ArithmeticError), store.writing() as connection:
        create_or_migrate(connection, (*MIGRATIONS, add_mood, stumble))

    with store.reading() as connection:
        assert store.database.version(connection) == newest_version()
        columns = inspect(connection).get_columns("runs")
        assert "mood" not in [column["name"] for column in columns]


def test_the_indexes_that_questions_rely_on_are_used(file_store):
    questions = {
        "labels_of_a_step": "run = 1 AND source = 0 AND step = 5 AND label = 2 "
        "ORDER BY mask_quality LIMIT 50",
        "labels_of_an_image": "run = 1 AND image_id = 3 AND step BETWEEN 1 AND 9",
        "PRIMARY KEY": "run + 0 = 1 AND source + 0 = 0 AND label_id IN (5, 6, 7)",
    }
    with file_store.reading() as connection:
        for index, condition in questions.items():
            plan = connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN SELECT * FROM labels WHERE {condition}"
            ).all()
            assert index in str(plan)
            assert "TEMP B-TREE" not in str(plan)


def test_a_writer_waits_until_another_is_done(file_store):
    create_run(file_store, RunConfig())
    begun = threading.Event()

    def write_slowly():
        with Store.open(file_store.root) as other, other.writing() as connection:
            begun.set()
            time.sleep(0.2)
            connection.exec_driver_sql("UPDATE runs SET seed = 1")

    slow = threading.Thread(target=write_slowly)
    slow.start()
    begun.wait(timeout=10)
    with file_store.writing() as connection:
        connection.exec_driver_sql("UPDATE runs SET seed = seed + 10")
    slow.join()

    with file_store.reading() as connection:
        assert connection.exec_driver_sql("SELECT seed FROM runs").scalar_one() == 11


def test_a_lock_that_is_never_given_back_is_told(file_store, monkeypatch):
    monkeypatch.setattr(sqlite_connections, "BUSY_SECONDS", 0.05)

    with (
        Store.open(file_store.root) as other,
        other.writing(),
        pytest.raises(OperationalError, match="database is locked"),
        file_store.writing(),
    ):
        pass

    with file_store.writing() as connection:  # and it is not broken by that
        connection.exec_driver_sql("UPDATE runs SET seed = 1")
