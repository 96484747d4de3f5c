"""`seglab jobs`: what waits and what goes on, and everything that can be done to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

import typer

from app.commands.options import (
    Json,
    Launcher,
    LauncherName,
    Priority,
    RayAddress,
    RunKey,
    StoreRoot,
    cluster_of,
    open_reader,
)
from app.commands.terminal import CommandFailed, WrongUse, note, say, say_json, say_table
from lab.config import ConfigError
from lab.jobs import control
from lab.jobs.background import ensure_worker
from lab.jobs.log import log_file, tail
from lab.jobs.ray_jobs import log_of, settle
from lab.jobs.worker import run_worker
from lab.store.errors import ActionRefused
from lab.store.job_queries import JobRow, list_jobs
from lab.store.queries import get_run
from lab.store.sent_jobs import last_sent, sent_jobs
from lab.store.store import Store
from lab.store.worker_rows import WorkerRow, living_workers

FOLLOW_SECONDS = 0.5
ENDED = ("finished", "failed", "stopped", "stale")

cli = typer.Typer(help="The queue of runs.", no_args_is_help=True, rich_markup_mode=None)

Runs = Annotated[
    list[str],
    typer.Argument(metavar="RUN...", help='Run ids, their beginnings, unique names, or "last".'),
]
WithWorker = Annotated[
    bool,
    typer.Option("--worker/--no-worker", help="Start a worker in the background if none lives."),
]


@cli.command("ls")
def ls(
    last: Annotated[int, typer.Option(min=0, help="How many that have ended are shown.")] = 10,
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """List what waits, in its order, what goes on, and what has ended lately."""
    with open_reader(store_root) as store:
        if sent_jobs(store):
            with Store.open(store.root) as writable:
                settle(writable)
        found = list_jobs(store)
        workers = living_workers(store)
    ended = [job for job in found if job.state in ENDED]
    shown = [job for job in found if job.state not in ENDED] + ended[:last]
    if json:
        say_json({"jobs": shown, "workers": workers})
        return
    headings = ("run", "name", "state", "place", "slot", "priority", "attempt", "step")
    say_table(headings, [_line(job) for job in shown], words=5)
    _note_workers(workers, any(job.state == "queued" for job in found))


@cli.command("cancel")
def cancel(
    runs: Runs,
    kill: Annotated[bool, typer.Option("--kill", help="Do not wait for a checkpoint.")] = False,
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """Take runs out of the queue, or ask them to save a checkpoint and stop.

    Asked a second time, a run is killed.
    """
    with Store.open(store_root) as store:
        _for_each(store, runs, lambda run_id: control.cancel(store, run_id, at_once=kill), json)


@cli.command("resume")
def resume(
    runs: Runs,
    worker: WithWorker = True,
    launcher: LauncherName = Launcher.LOCAL,
    ray_address: RayAddress = None,
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """Queue stopped, failed or lost runs again: on from their newest checkpoints."""

    cluster = cluster_of(launcher, ray_address)

    def act(run_id: str) -> str:
        control.resume(store, run_id, cluster=cluster)
        return "queued" if cluster is None else "sent"

    with Store.open(store_root) as store:
        settle(store)
        _for_each(store, runs, act, json)
        if worker and cluster is None:
            ensure_worker(store)


@cli.command("retry")
def retry(
    runs: Runs,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Not from the newest checkpoint; it is removed.")
    ] = False,
    worker: WithWorker = True,
    launcher: LauncherName = Launcher.LOCAL,
    ray_address: RayAddress = None,
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """A new attempt of failed, lost or stopped runs, under the same ids."""

    cluster = cluster_of(launcher, ray_address)

    def act(run_id: str) -> str:
        control.retry(store, run_id, from_start=from_start, cluster=cluster)
        return "queued" if cluster is None else "sent"

    with Store.open(store_root) as store:
        settle(store)
        _for_each(store, runs, act, json)
        if worker and cluster is None:
            ensure_worker(store)


@cli.command("move")
def move(
    run: RunKey,
    priority: Annotated[int | None, Priority] = None,
    before: Annotated[str | None, typer.Option(metavar="RUN", help="In front of this run.")] = None,
    front: Annotated[bool, typer.Option("--front", help="In front of all.")] = False,
    back: Annotated[bool, typer.Option("--back", help="Behind all.")] = False,
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """Give a waiting run another place in the queue."""
    if sum((priority is not None, before is not None, front, back)) != 1:
        raise WrongUse("say one of --priority N, --before RUN, --front and --back")
    with Store.open(store_root) as store:
        other = None if before is None else get_run(store, before).run_id
        to = "front" if front else "back" if back else None
        run_id = get_run(store, run).run_id
        control.move(store, run_id, priority=priority, before=other, to=to)
        line = [job for job in list_jobs(store) if job.place is not None]
    if json:
        say_json(line)
    else:
        say_table(("place", "run", "name"), [(j.place, j.run_id, j.name) for j in line], words=3)


@cli.command("log")
def log(
    run: RunKey,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many.")] = 40,
    output: Annotated[
        bool, typer.Option("--output", help="What the process printed instead.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run ends.")
    ] = False,
    store_root: StoreRoot = None,
) -> None:
    """Show the end of a run's log."""
    with open_reader(store_root) as store:
        run_id = get_run(store, run).run_id
        path = log_file(store, run_id, output=output)
        sent = last_sent(store, run_id)
        if sent is not None and (output or not path.is_file()):
            say("\n".join(log_of(sent).splitlines()[-lines:]))
            return
        shown = path.stat().st_size if path.is_file() else 0
        say(tail(path, lines))
        while follow and get_run(store, run_id).status not in ENDED:
            time.sleep(FOLLOW_SECONDS)
            if path.is_file() and path.stat().st_size > shown:
                with path.open("rb") as file:
                    file.seek(shown)
                    typer.echo(file.read(), nl=False)
                    shown = file.tell()


@cli.command("worker")
def worker(
    cpu_slots: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Runs without a GPU at a time.  [default: half of the processors, 1 beside GPUs]",
        ),
    ] = None,
    idle_seconds: Annotated[
        float | None, typer.Option(min=0.0, help="End after so long without work.")
    ] = None,
    store_root: StoreRoot = None,
) -> None:
    """Be a worker until Ctrl-C: start queued runs, one per GPU. The runs do not end with it."""
    with Store.open(store_root) as store:
        run_worker(store, cpu_slots=cpu_slots, idle_seconds=idle_seconds)


def _for_each(store: Store, keys: list[str], act: Callable[[str], str], json: bool) -> None:
    """Do it to all of them; those that refuse are told at the end, and make it a failure."""
    run_ids = [get_run(store, key).run_id for key in keys]
    answers: dict[str, str] = {}
    refused: list[str] = []
    for run_id in run_ids:
        try:
            answers[run_id] = act(run_id)
        except (ActionRefused, ConfigError) as error:
            refused.append(str(error))
    if json:
        say_json({"done": answers, "refused": refused})
    else:
        for run_id, answer in answers.items():
            say(f"{run_id}  {answer}")
    if refused:
        raise CommandFailed("\n        ".join(refused))


def _line(job: JobRow) -> tuple[object, ...]:
    return (
        job.run_id,
        job.name,
        job.state,
        job.place or "-" if job.waits_for is None else f"after {job.waits_for}",
        job.slot or "-",
        job.priority,
        job.attempt,
        f"{job.done}/{job.max_steps}",
    )


def _note_workers(workers: list[WorkerRow], is_waiting: bool) -> None:
    for one in workers:
        slots = ", ".join(one.slots)
        note(f"worker {one.worker} on {one.process.machine}, process {one.process.pid}: {slots}")
    if is_waiting and not workers:
        note("no worker lives: seglab jobs worker")
