"""`seglab gc`: what takes space, what could go, and letting it go."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from app.commands.options import MOST_STEPS, Json, StoreRoot, open_reader
from app.commands.terminal import WrongUse, byte_size, note, say, say_json, say_table
from lab.store.queries import RunRow, get_run, list_runs
from lab.store.retention import MaskPolicy, Plan, RunPlan, carry_out, plan_retention
from lab.store.run_bytes import run_bytes
from lab.store.runs import delete_run
from lab.store.shrinking import Shrunk, shrink
from lab.store.store import Store

KINDS = ("masks", "scores", "curves", "checkpoints", "predictions", "logs", "other")
DAY = 86_400.0


def gc(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Which runs.  [default: all]")
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(min=0, metavar="DAYS", help="Only runs that ended so long ago."),
    ] = None,
    keep_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST_STEPS,
            metavar="K",
            help="Keep the masks of every K-th recorded step, remove the others.",
        ),
    ] = None,
    masks: Annotated[
        bool, typer.Option("--masks", help="Remove the masks of all recorded steps but the newest.")
    ] = False,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete the named runs with everything of theirs.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it; without this it is only told.")
    ] = False,
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """Show what takes space and what could go; with --yes, remove it and shrink the file.

    Leftovers of crashes always go, masks only with --keep-every or --masks. Scores and curves stay,
    and so do the masks of probe images and of a run's newest step.
    """
    if masks and keep_every is not None:
        raise WrongUse("gc takes either --masks (keep none) or --keep-every K")
    if delete and (not runs or masks or keep_every is not None or older_than is not None):
        raise WrongUse("gc --delete takes the names of the runs to delete, and nothing else")
    policy = MaskPolicy(keep_every) if masks or keep_every is not None else None
    with open_reader(store_root):
        pass  # where there is no store, none is made
    with Store.open(store_root, read_only=not yes) as store:
        chosen = choose(store, runs or [], older_than)
        plan = plan_retention(store, chosen, policy)
        shrunk = _do(store, plan, delete) if yes else None
        after = _sizes_after(store, plan, delete, done=yes)
    if json:
        say_json(_as_json(plan, after, shrunk, delete))
    else:
        _say_plan(plan, after, delete)
        _say_end(plan, shrunk, delete)


def choose(store: Store, keys: list[str], older_than: float | None) -> list[RunRow]:
    """The runs that are meant: by name, or all; of these the ones that ended long enough ago."""
    named = {row.run_id: row for row in (get_run(store, key) for key in keys)}
    rows = list(named.values()) if keys else list_runs(store)
    if older_than is None:
        return rows
    latest = time.time() - older_than * DAY
    return [row for row in rows if (row.finished or row.started or row.created) <= latest]


def _do(store: Store, plan: Plan, delete: bool) -> Shrunk:
    if delete:
        for one in plan.runs:
            delete_run(store, one.run.run_id)
    carry_out(store, plan if not delete else Plan(None, (), plan.leftovers, plan.busy))
    return shrink(store)


def _sizes_after(store: Store, plan: Plan, delete: bool, *, done: bool) -> list[int]:
    """Total bytes of each planned run afterwards: measured when it is done, else foretold."""
    if delete:
        return [0 for _ in plan.runs]
    if done:
        return [run_bytes(store, one.run.run_id).total for one in plan.runs]
    return [one.before.total - one.freed for one in plan.runs]


def _say_plan(plan: Plan, after: list[int], delete: bool) -> None:
    lines = [_line(one, size) for one, size in zip(plan.runs, after, strict=True)]
    if lines:
        say_table(("run", "name", *KINDS, "total", "after"), lines, words=2)
    for row in plan.busy:
        note(f"run {row.run_id} is {row.status}: left alone")
    for one in plan.leftovers:
        say(f"{one.what}: {one.path}  {byte_size(one.size)}")
    doomed = sum(one.masks for one in plan.runs)
    if plan.policy is not None:
        say(f"{doomed:,} masks, {byte_size(sum(one.freed for one in plan.runs))}")
    if delete:
        say(f"{len(plan.runs)} runs with all their labels, curves and checkpoints")


def _say_end(plan: Plan, shrunk: Shrunk | None, delete: bool) -> None:
    nothing = not plan.leftovers and not delete and not any(one.masks for one in plan.runs)
    if shrunk is None:
        note("nothing to remove" if nothing else "nothing was removed yet: --yes does it")
        return
    note(f"database: {byte_size(shrunk.before)} before, {byte_size(shrunk.after)} after")
    if shrunk.why_not:
        note(shrunk.why_not)


def _line(one: RunPlan, after: int) -> tuple[object, ...]:
    sizes = [getattr(one.before, kind) for kind in KINDS]
    named = (one.run.run_id, one.run.name)
    return (*named, *(byte_size(size) for size in (*sizes, one.before.total, after)))


def _as_json(plan: Plan, after: list[int], shrunk: Shrunk | None, delete: bool) -> object:
    return {
        "done": shrunk is not None,
        "delete": delete,
        "runs": [
            {
                "run_id": one.run.run_id,
                "name": one.run.name,
                "before": {kind: getattr(one.before, kind) for kind in KINDS},
                "total_before": one.before.total,
                "total_after": size,
                "masks": one.masks,
                "freed": one.freed,
            }
            for one, size in zip(plan.runs, after, strict=True)
        ],
        "left_alone": [row.run_id for row in plan.busy],
        "leftovers": plan.leftovers,
        "store": shrunk,
    }
