"""Runs on a real Ray cluster: sent, followed, cancelled, gone on with, and found dead."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.config import parse_run_config
from lab.jobs.control import cancel, put_in_queue
from lab.jobs.ray_cluster import Cluster, RayUnavailable
from lab.jobs.ray_jobs import log_of, resources_of, send_run, settle
from lab.store.errors import ActionRefused
from lab.store.job_queries import list_jobs
from lab.store.job_queue import needs_waiting, process_of
from lab.store.queries import checkpoints, get_run, scalar_series
from lab.store.runs import create_run
from lab.store.sent_jobs import last_sent, sent_jobs
from lab.store.store import Store
from tests.lab.jobs.conftest import ENTRY, config, starts, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The dashboard of a cluster of this module's own, or of the one in SEGLAB_TEST_RAY."""
    pytest.importorskip("ray", reason="ray is not installed: pip install -e '.[ray]'")
    if address := os.environ.get("SEGLAB_TEST_RAY"):
        yield address
        return
    from tests.ray_cluster import running_cluster

    with running_cluster() as found:
        yield found


@pytest.fixture
def cluster(address: str, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")  # what is said goes before it
    return Cluster.connect(address)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "Läufe и 実験") as opened:
        yield opened


def state(store: Store, run_id: str) -> str:
    settle(store)
    return get_run(store, run_id).status


def test_a_run_is_sent_cancelled_with_a_checkpoint_and_goes_on(store: Store, cluster: Cluster):
    run_id = create_run(store, config("sent", steps=1000))
    job = send_run(store, cluster, run_id, entry=ENTRY)
    assert job.name == f"seglab-{run_id}-1"
    with pytest.raises(ActionRefused, match="already"):
        put_in_queue(store, run_id)
    assert needs_waiting(store) == set(), "no worker of ours takes it"

    wait_until(lambda: (get_run(store, run_id).step or 0) >= 3)
    assert (state(store, run_id), list_jobs(store)[0].slot) == ("running", "ray")
    assert cancel(store, run_id) == "asked to stop"
    wait_until(lambda: state(store, run_id) == "stopped")
    (saved,) = checkpoints(store, run_id)
    assert 3 < saved.step < 1000
    wait_until(lambda: not (settle(store), sent_jobs(store))[1])

    short = create_run(
        store, config("fork", saved.step + 3), parent_run_id=run_id, parent_step=saved.step
    )
    send_run(store, cluster, short, entry=ENTRY)
    wait_until(lambda: state(store, short) == "finished")
    losses = scalar_series(store, short, ["loss/total"])["loss/total"]
    assert losses.steps.tolist() == [saved.step, saved.step + 1, saved.step + 2]

    send_run(store, cluster, run_id, action="resume", entry=ENTRY)
    wait_until(lambda: (get_run(store, run_id).step or 0) > saved.step)
    assert starts(store, run_id) == [1, 2]
    cancel(store, run_id, at_once=True)
    assert get_run(store, run_id).status == "stopped"
    assert get_run(store, run_id).error == "killed on request"


def test_one_that_cannot_start_has_failed_and_its_log_says_why(store: Store, cluster: Cluster):
    run_id = create_run(store, config("broken"))

    send_run(store, cluster, run_id, entry=("sh", "-c", "echo no engine here; exit 3"))
    wait_until(lambda: state(store, run_id) == "failed")

    assert "exit code 3 before it began" in (get_run(store, run_id).error or "")
    job = last_sent(store, run_id)
    assert job is not None and "no engine here" in log_of(job)
    assert list_jobs(store)[0].exit_code == 3


def test_one_whose_process_dies_is_not_running_for_ever(store: Store, cluster: Cluster):
    run_id = create_run(store, config("victim", steps=50_000))
    send_run(store, cluster, run_id, entry=ENTRY)
    wait_until(lambda: (get_run(store, run_id).step or 0) >= 3)
    process = process_of(store, run_id)
    assert process is not None

    os.kill(process.pid, signal.SIGKILL)

    wait_until(lambda: state(store, run_id) == "failed")
    assert "SIGKILL" in (get_run(store, run_id).error or "")


def test_who_asks_for_more_than_there_is_waits_in_rays_queue_and_can_leave_it(
    store: Store, cluster: Cluster
):
    run_id = create_run(
        store,
        parse_run_config(
            {"schedule": {"processes": 4, "device": "cuda", "max_steps": 5, "labeled_batch": 4}}
        ),
    )

    send_run(store, cluster, run_id, entry=ENTRY)
    assert state(store, run_id) == "queued"
    assert list_jobs(store)[0].needs == "cuda"
    assert cancel(store, run_id) == "taken out of the queue"
    wait_until(lambda: state(store, run_id) == "stopped")
    assert starts(store, run_id) == []


def test_a_gpu_is_set_aside_for_each_process_that_wants_one(cluster: Cluster):
    def resources(**schedule: object) -> tuple[int, int]:
        return resources_of(parse_run_config({"schedule": schedule}), cluster)

    assert resources(device="cpu", num_threads=2) == (2, 0)
    assert resources(device="cuda") == (1, 1)
    assert resources(device="auto", processes=2) == (2, 2), "the cluster has a GPU"


def test_a_cluster_that_is_not_there_is_one_sentence():
    pytest.importorskip("ray")

    with pytest.raises(RayUnavailable, match=r"no Ray cluster answers at .*:9: start one"):
        Cluster.connect("http://127.0.0.1:9")
    with pytest.raises(RayUnavailable, match="expected an address such as http"):
        Cluster.connect("127.0.0.1:6379")
