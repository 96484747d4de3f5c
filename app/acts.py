"""What a visitor does to runs, several at a time: each answers for itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lab.config import ConfigError
from lab.jobs import control
from lab.jobs.background import ensure_worker
from lab.store.errors import ActionRefused, RunNotFound, StoreError
from lab.store.queries import get_run
from lab.store.run_state import State
from lab.store.runs import delete_run
from lab.store.store import Store

Act = Literal["cancel", "kill", "resume", "retry", "restart", "delete"]
"""`kill` does not wait for a checkpoint; `restart` is a retry from where the run first began."""

QUEUEING: frozenset[Act] = frozenset({"resume", "retry", "restart"})
"""Acts after which something waits for a worker."""
GOING: frozenset[State] = frozenset({"starting", "running", "stopping"})
"""States in which a run is not deleted."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run took it: done, or why not, in a sentence."""

    run_id: str
    done: bool
    said: str


def act_on_runs(store: Store, act: Act, run_ids: Sequence[str]) -> list[Outcome]:
    """Do it to every run, in order; one that refuses does not keep the others from it."""
    return [_act(store, act, run_id) for run_id in dict.fromkeys(run_ids)]


def start_worker_after(store: Store, act: Act, outcomes: Sequence[Outcome]) -> int | None:
    """See to it that what was queued gets trained; the process id of a worker that was started."""
    if act in QUEUEING and any(one.done for one in outcomes):
        return ensure_worker(store)
    return None


def _act(store: Store, act: Act, run_id: str) -> Outcome:
    try:
        if get_run(store, run_id).run_id != run_id:
            raise RunNotFound(f"run {run_id!r}: the whole id is needed here")
        return Outcome(run_id, True, ACTS[act](store, run_id))
    except (StoreError, ConfigError, OSError) as error:
        return Outcome(run_id, False, str(error))


def _cancel(store: Store, run_id: str) -> str:
    return control.cancel(store, run_id)


def _kill(store: Store, run_id: str) -> str:
    return control.cancel(store, run_id, at_once=True)


def _resume(store: Store, run_id: str) -> str:
    control.resume(store, run_id)
    return "queued, on from its newest checkpoint"


def _retry(store: Store, run_id: str) -> str:
    control.retry(store, run_id)
    return "queued, a new attempt from its newest checkpoint"


def _restart(store: Store, run_id: str) -> str:
    control.retry(store, run_id, from_start=True)
    return "queued, a new attempt from where it first began"


def _delete(store: Store, run_id: str) -> str:
    status = get_run(store, run_id).status
    if status in GOING:
        raise ActionRefused(f"run {run_id} is {status}: cancel it before it is deleted")
    delete_run(store, run_id)
    return "deleted with its labels, curves and files"


ACTS: Mapping[Act, Callable[[Store, str], str]] = {
    "cancel": _cancel,
    "kill": _kill,
    "resume": _resume,
    "retry": _retry,
    "restart": _restart,
    "delete": _delete,
}
