"""Each drill once, in small; and the witness that the drills trust."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.config import RunConfig
from lab.store.recorder import StoreRecorder
from lab.store.runs import create_run
from lab.store.store import Store
from tests.drill.__main__ import play
from tests.drill.report import Outcome, table
from tests.drill.rows import Witness, soundness
from tests.drill.scenarios import SCENARIOS
from tests.drill.stage import Fault, Limits


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_drill_finds_nothing(name: str):
    outcome = play(name, seed=0, limits=Limits(kills=3, minutes=10.0))

    assert outcome.result != "FAILED", outcome.found


def recorded(store: Store) -> None:
    """A run with a loss in each of two steps."""
    run_id = create_run(store, RunConfig())
    with StoreRecorder(store, run_id) as recorder:
        recorder.scalars(0, {"loss": 1.0})
        recorder.scalars(1, {"loss": 0.5})


def test_a_witness_notices_a_row_that_is_gone(store: Store):
    recorded(store)
    witness = Witness(store.root / "store.db")
    with store.writing() as connection:
        connection.exec_driver_sql("UPDATE runs SET status = 'running'")
    witness.look()
    with store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM scalars WHERE step = 1")

    with pytest.raises(Fault, match="lost, though nobody resumed"):
        witness.look()


def test_a_witness_notices_a_value_that_has_changed(store: Store):
    recorded(store)
    witness = Witness(store.root / "store.db")
    with store.writing() as connection:
        connection.exec_driver_sql("UPDATE runs SET status = 'running'")
    witness.look()
    with store.writing() as connection:
        connection.exec_driver_sql("UPDATE scalars SET value = 7.0 WHERE step = 1")

    with pytest.raises(Fault, match=r"changed: .*loss.*step=1"):
        witness.look()


def test_a_sound_store_is_sound_and_a_wrong_sum_is_not(store: Store):
    recorded(store)
    database: Path = store.root / "store.db"
    soundness(database)
    with store.writing() as connection:
        connection.exec_driver_sql("UPDATE latest_scalars SET step = 0")

    with pytest.raises(Fault, match="newest values that are not the newest"):
        soundness(database)


def test_the_table_has_a_line_per_drill():
    lines = table([Outcome("kill", "kill -9", 61.4, "nothing", "ok")]).splitlines()

    assert lines[2:] == ["| kill | kill -9 | 61 s | nothing | ok |"]
