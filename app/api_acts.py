"""/lab/acts and /lab/queue: what may be done to runs, doing it, and the line they wait in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from app.acts import Act, act_on_runs, start_worker_after
from app.answers import answer
from app.guard import visitor
from app.launch import differences
from app.questions import Order, Question, Whole
from lab.config import FOREIGN, change_live, flatten, full_key, live_keys
from lab.jobs import control
from lab.jobs.live import apply_live
from lab.store.asks import ask_row, config_at
from lab.store.errors import StoreMissing
from lab.store.job_queries import list_jobs
from lab.store.queries import checkpoints, get_run
from lab.store.rows import RunRow
from lab.store.run_state import ACTIONS, check_allowed
from lab.store.store import Store
from lab.store.worker_rows import living_workers

MOST_RUNS = 1_000
"""Of one act."""
MOST_ENDED = 10
"""Jobs that are over and are still listed."""
ENDED = ("finished", "failed", "stopped", "stale")


class ActOrder(Order):
    """One act on several runs."""

    act: Act
    runs: Annotated[list[str], Field(min_length=1, max_length=MOST_RUNS)]


class MoveOrder(Order):
    """Another place in the queue; exactly one of `to`, `before` and `priority`."""

    run: str
    to: Literal["front", "back"] | None = None
    before: str | None = None
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] | None = None


class ApplyOrder(Order):
    """New values, by dotted key or its end, for a run that trains."""

    values: Annotated[dict[str, Any], Field(min_length=1)]


def router(root: Path) -> APIRouter:
    """The routes over the store in `root`; only those that change something open it to write."""
    routes = APIRouter(prefix="/lab")

    @routes.post("/acts")
    def acts(request: Request, order: ActOrder) -> Response:
        with Store.open(root) as store:
            outcomes = act_on_runs(store, order.act, order.runs)
            worker = start_worker_after(store, order.act, outcomes)
        return answer(request, {"outcomes": outcomes, "worker": worker})

    @routes.get("/queue")
    def queue(request: Request, _: Annotated[Question, Query()]) -> Response:
        return answer(request, the_queue(root))

    @routes.post("/queue/move")
    def move(request: Request, order: MoveOrder) -> Response:
        with Store.open(root) as store:
            control.move(
                store, order.run, to=order.to, before=order.before, priority=order.priority
            )
        return answer(request, the_queue(root))

    @routes.get("/runs/{key}/acts")
    def possible(request: Request, key: str, _: Annotated[Question, Query()]) -> Response:
        with Store.open(root, read_only=True) as store:
            return answer(request, what_is_possible(store, get_run(store, key)))

    @routes.post("/runs/{key}/apply/check")
    def check(request: Request, key: str, order: ApplyOrder) -> Response:
        with Store.open(root, read_only=True) as store:
            return answer(request, what_would_change(store, get_run(store, key), order.values))

    @routes.post("/runs/{key}/apply")
    def apply(request: Request, key: str, order: ApplyOrder) -> Response:
        with Store.open(root) as store:
            run_id = get_run(store, key).run_id
            author = visitor(request.headers)
            return answer(
                request, apply_live(store, run_id, order.values, author=author, timeout=0.0)
            )

    @routes.get("/asks/{ask}")
    def ask(request: Request, ask: Whole, _: Annotated[Question, Query()]) -> Response:
        with Store.open(root, read_only=True) as store:
            return answer(request, ask_row(store, ask))

    return routes


def the_queue(root: Path) -> dict[str, Any]:
    """Who waits, who goes and who has ended lately, and the workers that start them."""
    try:
        store = Store.open(root, read_only=True)
    except StoreMissing:
        return {"jobs": [], "workers": []}
    with store:
        found = list_jobs(store)
        workers = living_workers(store)
    ended = [job for job in found if job.state in ENDED]
    shown = [job for job in found if job.state not in ENDED] + ended[:MOST_ENDED]
    told = [
        {"machine": one.process.machine, "pid": one.process.pid, "slots": one.slots}
        for one in workers
    ]
    return {"jobs": shown, "workers": told}


def what_is_possible(store: Store, run: RunRow) -> dict[str, Any]:
    """What the run's state allows, the values that may change live, and where it can be forked.

    Of a run of other training code: nothing.
    """
    if FOREIGN in run.config:
        return {"status": run.status, "actions": [], "live": {}, "checkpoints": []}
    config = config_at(store, run.run_id)
    values = flatten(config.model_dump(mode="json"))
    return {
        "status": run.status,
        "actions": sorted(ACTIONS[run.status]),
        "live": {key: values[key] for key in live_keys(config)},
        "checkpoints": [one.step for one in checkpoints(store, run.run_id) if one.exists],
    }


def what_would_change(store: Store, run: RunRow, values: dict[str, Any]) -> dict[str, Any]:
    """The exact difference that new values make to the config in effect.

    Raises:
        ActionRefused: the run is not running.
        ConfigError: a value cannot be changed, or not to that.
    """
    check_allowed(run.run_id, run.status, "apply")
    old = config_at(store, run.run_id)
    full = {full_key(old, key): value for key, value in values.items()}
    new, _ = change_live(old, full, f"run {run.run_id}")
    return {"differences": differences(old, new)}
