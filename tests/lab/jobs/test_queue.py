"""The queue: order, claims, and what survives a worker that dies in the middle of a start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.config import ConfigError, parse_run_config
from lab.jobs.control import cancel, move, put_in_queue, resume, retry
from lab.jobs.devices import find_gpus, need_of, slots_of, visible_gpus
from lab.jobs.line import moved
from lab.jobs.log import tail
from lab.jobs.worker import Worker
from lab.store.errors import ActionRefused, StoreError
from lab.store.job_queries import list_jobs
from lab.store.job_queue import Waiting, claim_next, held_jobs, mark_started
from lab.store.processes import this_process
from lab.store.queries import get_run
from lab.store.runs import claim_run, create_run, delete_run, finish_run
from lab.store.store import Store
from lab.store.worker_rows import living_workers, register_worker, worker_leaves
from tests.lab.jobs.conftest import config, queued

ME = this_process()
GONE = replace(ME, started=ME.started - 99)
"""A process that had our number before us."""
LINE = [Waiting("a", 5), Waiting("b", 0), Waiting("c", 0), Waiting("d", -1)]


def names(store: Store) -> list[str]:
    return [job.name for job in list_jobs(store) if job.place is not None]


def test_priority_goes_first_then_who_came_first(store: Store):
    for name, priority in (("a", 0), ("b", 5), ("c", 0), ("d", -1)):
        queued(store, name, priority=priority)

    assert names(store) == ["b", "a", "c", "d"]
    claimed = [claim_next(store, 1, ME, f"cpu:{n}", ("any",)) for n in range(4)]
    assert [get_run(store, job.run_id).name for job in claimed if job] == ["b", "a", "c", "d"]


def test_a_slot_holds_one_run_and_serves_only_what_it_can(store: Store):
    first = queued(store, "first")
    queued(store, "second")

    assert claim_next(store, 1, ME, "cuda:0", ("cuda",)) is None
    job = claim_next(store, 1, ME, "cpu:0", ("any", "cpu"))
    assert job is not None and (job.run_id, job.attempt, job.stage) == (first, 1, "claimed")
    assert claim_next(store, 2, ME, "cpu:0", ("any", "cpu")) is None, "of another worker as well"
    assert get_run(store, first).status == "starting"


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ({"to": "front"}, "c5 a5 b0 d-1"),
        ({"to": "back"}, "a5 b0 d-1 c-1"),
        ({"before": "b"}, "a5 c0 b0 d-1"),
        ({"before": "a"}, "c5 a5 b0 d-1"),
        ({"priority": 5}, "a5 c5 b0 d-1"),
        ({"priority": 0}, "a5 b0 c0 d-1"),
        ({"priority": -9}, "a5 b0 d-1 c-9"),
    ],
)
def test_a_run_is_moved(place: dict[str, str], line: str):
    found = moved(LINE, "c", **place)  # pyright: ignore[reportArgumentType]

    assert " ".join(f"{one.run_id}{one.priority}" for one in found) == line


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=8), st.data())
def test_moving_keeps_the_line_in_order_and_loses_nobody(
    priorities: list[int], data: st.DataObject
):
    line = [Waiting(f"r{n}", one) for n, one in enumerate(sorted(priorities, reverse=True))]
    who = data.draw(st.sampled_from(line)).run_id
    place = data.draw(
        st.sampled_from([{"to": "front"}, {"to": "back"}, {"priority": 1}, {"before": "r0"}])
    )
    if place == {"before": who}:
        return

    found = moved(line, who, **place)

    assert sorted(one.run_id for one in found) == sorted(one.run_id for one in line)
    assert [one.priority for one in found] == sorted((p.priority for p in found), reverse=True)


def test_moving_is_refused_for_who_does_not_wait(store: Store):
    a, b = queued(store, "a"), queued(store, "b")
    move(store, b, to="front")
    assert names(store) == ["b", "a"]

    cancel(store, b)
    with pytest.raises(ActionRefused, match="is stopped: move is for runs that are queued"):
        move(store, b, to="back")
    with pytest.raises(ActionRefused, match="does not wait"):
        move(store, a, before=b)


def test_cancelled_while_it_waits_a_run_is_stopped_and_can_come_back(store: Store):
    run_id = queued(store, "a", priority=3)

    assert cancel(store, run_id) == "taken out of the queue"
    run = get_run(store, run_id)
    assert (run.status, run.error, names(store)) == ("stopped", "taken out of the queue", [])
    with pytest.raises(ActionRefused, match="cancel is for"):
        cancel(store, run_id)

    resume(store, run_id)
    (job,) = list_jobs(store)
    assert (job.state, job.place, job.priority, job.error) == ("queued", 1, 3, None)


def test_a_run_is_queued_once(store: Store):
    run_id = queued(store, "a")
    with pytest.raises(ActionRefused, match="in the queue already"):
        put_in_queue(store, run_id)

    going = create_run(store, config("going"))
    claim_run(store, going)
    with pytest.raises(ActionRefused, match="still recording it"):
        put_in_queue(store, going)
    with pytest.raises(ActionRefused, match="is running: retry is for"):
        retry(store, going)


def test_trained_by_hand_a_run_leaves_the_queue(store: Store):
    run_id = queued(store, "a")

    claim_run(store, run_id)

    assert names(store) == []
    assert claim_next(store, 1, ME, "cpu:0", ("any",)) is None


def test_a_worker_that_died_before_starting_gives_its_run_back_and_a_late_child_is_refused(
    store: Store, worker: Worker
):
    run_id = queued(store, "a")
    dead = register_worker(store, GONE, ["cpu:0"])
    assert dead is not None
    lost = claim_next(store, dead, GONE, "cpu:0", ("any",))
    assert lost is not None and lost.attempt == 1

    worker._adopt(held_jobs(store, ME.machine))
    assert names(store) == ["a"]
    with pytest.raises(StoreError, match="attempt 1 is no longer wanted"):
        claim_run(store, run_id, attempt=1)

    again = claim_next(store, worker.number, ME, "cpu:0", ("any",))
    assert again is not None and again.attempt == 2
    with pytest.raises(StoreError, match="attempt 1 is no longer wanted"):
        claim_run(store, run_id, attempt=1)
    claim_run(store, run_id, attempt=2)
    assert get_run(store, run_id).status == "running"


def test_a_run_that_did_start_under_a_dead_worker_is_kept(store: Store, worker: Worker):
    run_id = queued(store, "a")
    dead = register_worker(store, GONE, ["cpu:0"])
    assert dead is not None
    assert claim_next(store, dead, GONE, "cpu:0", ("any",))
    claim_run(store, run_id, attempt=1)  # the child lives: it is this process

    worker._adopt(held_jobs(store, ME.machine))

    (job,) = held_jobs(store, ME.machine)
    assert (job.worker, job.stage, job.process.pid) == (worker.number, "started", ME.pid)


def test_a_cancel_that_comes_while_a_run_starts_is_known_when_it_has(store: Store):
    run_id = queued(store, "a")
    job = claim_next(store, 1, ME, "cpu:0", ("any",))
    assert job is not None

    assert cancel(store, run_id) == "asked to stop"
    assert get_run(store, run_id).status == "stopping"
    assert mark_started(store, job, ME).cancels == 1


def test_retried_from_the_start_a_run_forgets_its_own_checkpoints_only(store: Store):
    parent = create_run(store, config("parent"))
    run_id = create_run(store, config("fork"), parent_run_id=parent, parent_step=3)
    directory = store.run_directory(run_id) / "checkpoints"
    directory.mkdir(parents=True)
    for step in (3, 4):
        (directory / f"step-{step:08d}.pt").touch()
    finish_run(store, run_id, "failed", "disk full")

    retry(store, run_id, from_start=True)
    assert [file.name for file in directory.iterdir()] == ["step-00000003.pt"]

    cancel(store, run_id)
    (directory / "step-00000003.pt").unlink()
    with pytest.raises(ActionRefused, match="forked from is not kept"):
        retry(store, run_id, from_start=True)


def test_a_deleted_run_leaves_no_job(store: Store):
    run_id = queued(store, "a")

    delete_run(store, run_id)

    assert list_jobs(store) == []
    assert claim_next(store, 1, ME, "cpu:0", ("any",)) is None


def test_one_worker_is_enough_and_it_stays_while_a_run_waits(store: Store):
    number = register_worker(store, ME, ["cpu:0"])
    assert number is not None
    assert register_worker(store, ME, ["cpu:0"], only_one=True) is None

    queued(store, "a")
    assert not worker_leaves(store, number, unless_needs=("any",))
    assert worker_leaves(store, number, unless_needs=("cuda",)), "what it cannot serve"
    assert living_workers(store) == []


def test_what_a_run_needs_is_in_its_config():
    needs = {
        name: need_of(parse_run_config({"schedule": {"device": name}}))
        for name in ("auto", "cpu", "cuda")
    }

    assert needs == {"auto": "any", "cpu": "cpu", "cuda": "cuda"}
    with pytest.raises(ConfigError, match=r"schedule\.device = 'cuda:1'"):
        need_of(parse_run_config({"schedule": {"device": "cuda:1"}}))


def test_the_queue_gives_a_run_one_gpu_or_several_processes_without_any():
    several = {"processes": 4, "device": "cpu"}
    assert need_of(parse_run_config({"schedule": several})) == "cpu"
    with pytest.raises(ConfigError, match=r"schedule\.processes = 4 .* 'auto'"):
        need_of(parse_run_config({"schedule": several | {"device": "auto"}}))


def test_slots_follow_the_machine():
    assert [(slot.name, slot.serves) for slot in slots_of([], 2)] == [
        ("cpu:0", ("any", "cpu")),
        ("cpu:1", ("any", "cpu")),
    ]
    gpus = slots_of(["2", "3"], 1)
    assert [(slot.name, slot.serves) for slot in gpus] == [
        ("cuda:2", ("any", "cuda")),
        ("cuda:3", ("any", "cuda")),
        ("cpu:0", ("cpu",)),
    ]
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in gpus] == ["2", "3", ""]
    assert visible_gpus("2, 3") == find_gpus({"CUDA_VISIBLE_DEVICES": "2,3"}) == ["2", "3"]
    assert visible_gpus("") == visible_gpus("-1,0") == []


def test_the_end_of_a_log_is_read_from_its_end(tmp_path: Path):
    path = tmp_path / "log.txt"
    assert tail(path, 5) == ""
    path.write_text("".join(f"line {n} ü\n" for n in range(20_000)), encoding="utf-8")

    assert tail(path, 2) == "line 19998 ü\nline 19999 ü"
    assert tail(path, 50_000).startswith("line 0 ü\n")
