"""What is said of PostgreSQL alone: its address, its server, its locks."""

from __future__ import annotations

import builtins
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from lab.config import RunConfig
from lab.store.errors import StoreError, StoreMissing
from lab.store.postgres_address import parse_address, shown
from lab.store.queries import list_runs
from lab.store.recorder import StoreRecorder
from lab.store.runs import create_run
from lab.store.store import Store
from lab.store.writer import reserve_label_ids
from tests.factories import pseudo_labels

SECRET = "ge:he/im"
WRITTEN = "ge%3Ahe%2Fim"


@pytest.fixture
def address(new_database: Callable[[], str]) -> str:
    return new_database()


def test_an_address_is_shown_without_its_password():
    plain = parse_address(f"postgresql+psycopg://lab:{WRITTEN}@db.example:5433/seglab?sslmode=off")
    hidden = parse_address(f"postgres://lab@/seglab?host=/run/pg&password={WRITTEN}")

    assert plain.password == SECRET
    assert shown(plain) == "postgresql://lab@db.example:5433/seglab"
    assert shown(hidden) == "postgresql://lab@/run/pg/seglab"


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("mysql://lab:geheim@host/seglab", "SEGLAB_STORE: mysql: expected postgresql"),
        ("/data/geheim", "not a URL.*SEGLAB_HOME"),
        ("postgresql://lab:geheim@host:port/seglab", "not a URL"),
        ("postgresql://lab:gehe@im@host/seglab", "more than one @.*%40"),
        ("postgresql://lab:geheim@host", "names no database"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_in_one_sentence(
    tmp_path: Path, address: str, sentence: str
):
    with pytest.raises(StoreError, match=sentence) as refusal:
        Store.open(tmp_path, url=address)

    assert "\n" not in str(refusal.value)
    assert "gehe" not in str(refusal.value)


def test_without_psycopg_one_sentence_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    found = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name.startswith("psycopg"):
            raise ImportError("No module named 'psycopg'")
        return found(name, *rest)  # pyright: ignore

    for name in [name for name in sys.modules if name.startswith("lab.store.postgres")]:
        if name != "lab.store.postgres_address":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(StoreError, match=r"needs psycopg.*pip install -e '\.\[postgres\]'"):
        Store.open(tmp_path, url="postgresql://lab@host/seglab")


def test_no_server_is_one_sentence(tmp_path: Path):
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError, match=r"postgresql://lab@127.0.0.1:1/seglab: cannot") as refusal:
        Store.open(tmp_path, url="postgresql://lab:geheim@127.0.0.1:1/seglab")

    assert "refused" in str(refusal.value)
    assert "\n" not in str(refusal.value) and "geheim" not in str(refusal.value)


@pytest.mark.postgres
def test_a_wrong_password_is_one_sentence_without_it(address: str, tmp_path: Path):
    with Store.open(tmp_path, url=address) as store, store.writing() as connection:
        role = f"CREATE ROLE locked LOGIN SUPERUSER PASSWORD '{SECRET}'"
        connection.execute(text(f"DROP ROLE IF EXISTS locked; {role}".replace(":", r"\:")))
    right = address.replace("seglab@", f"locked:{WRITTEN}@")
    wrong = address.replace("seglab@", "locked:geheim@")

    Store.open(tmp_path, url=right, read_only=True).close()
    with pytest.raises(StoreError, match=r'authentication failed for user "locked"') as refusal:
        Store.open(tmp_path, url=wrong)

    assert "\n" not in str(refusal.value) and "geheim" not in str(refusal.value)


@pytest.mark.postgres
def test_a_database_that_is_not_there_is_named(address: str, tmp_path: Path):
    with pytest.raises(StoreError, match='database "nowhere" does not exist'):
        Store.open(
            tmp_path,
            url=address.replace("/store", "/nowhere?x=").partition("?x=")[0]
            + "?"
            + address.partition("?")[2],
        )


@pytest.mark.postgres
def test_an_empty_database_has_nothing_to_read(address: str, tmp_path: Path):
    with pytest.raises(StoreMissing, match="no store here yet"):
        Store.open(tmp_path, url=address, read_only=True)


@pytest.mark.postgres
def test_a_database_with_other_tables_is_left_alone(address: str, tmp_path: Path):
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(address.replace("+psycopg", "")) as plain:
        plain.execute("CREATE TABLE letters (a integer)")

    for read_only in (False, True):
        with pytest.raises(StoreError, match=r"tables that seglab did not make \(letters\)"):
            Store.open(tmp_path, url=address, read_only=read_only)

    with psycopg.connect(address.replace("+psycopg", "")) as plain:
        plain.execute("CREATE SCHEMA mine")
    with Store.open(tmp_path, url=f"{address}&options=-csearch_path%3Dmine") as store:
        create_run(store, RunConfig(name="beside it"))
        assert [run.name for run in list_runs(store)] == ["beside it"]
        assert "letters" not in store.database.columns()


OPEN = "import sys; from lab.store.store import Store; Store.open(sys.argv[1], url=sys.argv[2])"


@pytest.mark.postgres
def test_processes_make_one_new_store_at_once(address: str, tmp_path: Path):
    script = OPEN.replace("sys.argv[1]", "__import__('pathlib').Path(sys.argv[1])")
    command = [sys.executable, "-c", script, str(tmp_path), address]
    children = [subprocess.Popen(command) for _ in range(3)]

    assert [child.wait(120) for child in children] == [0] * 3
    with Store.open(tmp_path, url=address, read_only=True) as store:
        assert list_runs(store) == []


@pytest.mark.postgres
def test_writers_take_turns_and_recorders_need_not(address: str, tmp_path: Path):
    """While one writer is at it, another waits; rows of a run go in, and numbers are given out."""
    with Store.open(tmp_path, url=address) as store:
        recorder = StoreRecorder(store, create_run(store, RunConfig()))
        waiter = threading.Thread(target=create_run, args=(store, RunConfig(name="second")))
        with store.writing() as connection:
            first = reserve_label_ids(connection, 10)
            waiter.start()
            recorder.pseudo_labels(0, [pseudo_labels(3)])
            recorder.flush()
            assert waiter.is_alive()
            assert len(list_runs(store)) == 1
            with store.appending() as beside:
                assert reserve_label_ids(beside, 1) == first + 13
        waiter.join(30)
        recorder.finish("finished")

        assert len(list_runs(store)) == 2


@pytest.mark.postgres
def test_a_reader_sees_one_moment(address: str, tmp_path: Path):
    with Store.open(tmp_path, url=address) as store:
        count = text("SELECT count(*) FROM runs")
        with store.reading() as connection:
            before = connection.execute(count).scalar_one()
            create_run(store, RunConfig())
            after = connection.execute(count).scalar_one()

        assert (before, after, len(list_runs(store))) == (0, 0, 1)


@pytest.mark.postgres
def test_recording_known_names_uses_no_numbers_up(address: str, tmp_path: Path):
    """A sequence of 32 bits has to last for years of training."""
    with Store.open(tmp_path, url=address) as store:
        run_id = create_run(store, RunConfig())
        with StoreRecorder(store, run_id) as recorder:
            for step in range(5):
                recorder.scalars(step, {"loss/a": 1.0, "loss/b": 2.0})
                recorder.flush()
        with store.reading() as connection:
            used = connection.execute(
                text("SELECT last_value FROM scalar_names_name_id_seq")
            ).scalar_one()
            names = connection.execute(text("SELECT count(*) FROM scalar_names")).scalar_one()

    assert used == names


@pytest.mark.postgres
def test_a_server_that_went_away_and_came_back_loses_nothing(address: str, tmp_path: Path):
    """All connections are cut; the recorder connects again."""
    cut = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with Store.open(tmp_path, url=address) as store:
        recorder = StoreRecorder(store, create_run(store, RunConfig()))
        recorder.pseudo_labels(0, [pseudo_labels(2)])
        recorder.flush()
        with Store.open(tmp_path, url=address) as other, other.writing() as connection:
            connection.execute(cut)
        time.sleep(0.1)
        recorder.pseudo_labels(1, [pseudo_labels(2)])
        recorder.flush()

        with Store.open(tmp_path, url=address, read_only=True) as reader:
            counted = text("SELECT count(*) FROM labels")
            with reader.reading() as connection:
                assert connection.execute(counted).scalar_one() == 4
        assert recorder._ingest.failures == []
        recorder.close()


@pytest.mark.postgres
def test_the_label_query_uses_its_index(address: str, tmp_path: Path):
    with Store.open(tmp_path, url=address) as store, store.writing() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = connection.execute(
            text(
                "EXPLAIN SELECT * FROM labels WHERE run = 1 AND source = 0 AND step = 5 "
                "AND label = 2 ORDER BY mask_quality LIMIT 50"
            )
        ).all()

    assert "labels_of_a_step" in str(plan)
    assert "Sort" not in str(plan)
