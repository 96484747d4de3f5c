"""A disk without room: a store on it can be read, and how a run ended can be written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from lab.config import RunConfig
from lab.store.errors import StoreError
from lab.store.queries import get_run, list_runs
from lab.store.recorder import StoreRecorder
from lab.store.reserve import RESERVE_BYTES, Reserve
from lab.store.runs import create_run
from lab.store.store import Store
from tests.small_disk import mounted


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory with room for 4 MiB."""
    with mounted(tmp_path / "disk", "4m") as root:
        yield root


def fill(root: Path) -> None:
    with (root / "filler").open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def create_many_runs(store: Store) -> None:
    """More than the log has room for."""
    for _ in range(100):
        create_run(store, RunConfig())


def test_a_store_on_a_full_disk_can_be_read(small_disk: Path):
    with Store.open(small_disk) as store:
        create_run(store, RunConfig(name="before"))
    fill(small_disk)

    with Store.open(small_disk, read_only=True) as store:
        assert [run.name for run in list_runs(store)] == ["before"]


def test_writing_there_says_why_not(small_disk: Path):
    with Store.open(small_disk) as store:
        create_run(store, RunConfig())
    fill(small_disk)

    with pytest.raises(StoreError, match="no space is left on its disk"):
        Store.open(small_disk)


def test_how_a_run_ended_is_written_on_a_full_disk(small_disk: Path):
    with Store.open(small_disk) as store:
        run_id = create_run(store, RunConfig())
        recorder = StoreRecorder(store, run_id, lossless=True)
        recorder.scalars(0, {"loss": 1.0})
        recorder.flush()
        fill(small_disk)
        with pytest.raises(OperationalError, match="full"):
            create_many_runs(store)
        recorder.finish("failed", "no room")

        run = get_run(store, run_id)
    assert run.status == "failed" and (run.error or "").startswith("no room")


def test_the_reserve_is_given_back_before_it_is_tried_again(tmp_path: Path):
    reserve = Reserve(tmp_path, keep=True)
    file = tmp_path / "reserve.tmp"
    seen: list[int] = []

    def act() -> None:
        seen.append(file.stat().st_size if file.exists() else 0)
        if len(seen) == 1:
            raise OperationalError("write", None, OSError("full"))

    reserve.spend_on(act)

    assert seen == [RESERVE_BYTES, 0]


def test_without_need_the_reserve_goes_too(tmp_path: Path):
    Reserve(tmp_path, keep=True).spend_on(lambda: None)

    assert list(tmp_path.iterdir()) == []
