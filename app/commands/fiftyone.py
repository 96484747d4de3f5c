"""`seglab fiftyone`: a run's labels in FiftyOne."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from app.commands.options import Json, RunKey, StoreRoot, open_reader
from app.commands.terminal import CommandFailed, WrongUse, note, say, say_json
from app.fiftyone.app_server import (
    AppFailed,
    AppServer,
    app_server,
    dataset_address,
    door_address,
)
from app.fiftyone.content import check_labels, check_same_images
from app.fiftyone.database import Address, database
from app.fiftyone.environment import check_installed, fiftyone_environment, use
from app.fiftyone.mongod import NoDatabase
from app.fiftyone.request import Request, build_request
from app.fiftyone.views import KINDS
from app.fiftyone_sessions import Session, announced, clear_leftovers
from app.main import PortBusy, bind
from lab.store.processes import this_process
from lab.store.queries import get_run
from lab.store.store import Store

DEFAULT_PORT = 5151
LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Opened:
    """What is told about a dataset that is ready."""

    dataset: str
    address: str | None
    """Of its page in the App; None when no App was asked for."""
    images: int
    labels: dict[str, int]
    written: dict[str, int]
    views: list[str]


def fiftyone(  # noqa: PLR0913 - every option is one
    run: RunKey,
    iteration: Annotated[
        list[int] | None,
        typer.Option(min=0, help="Pseudo-labels as they were after this step. May be repeated."),
    ] = None,
    last: Annotated[
        bool, typer.Option("--last", help="The newest pseudo-labels (the default).")
    ] = False,
    evaluation: Annotated[
        bool, typer.Option("--evaluation", help="Instead: predictions on the validation images.")
    ] = False,
    compare: Annotated[
        list[str] | None,
        typer.Option(metavar="RUN2", help="The same of another run beside it. May be repeated."),
    ] = None,
    port: Annotated[
        int,
        typer.Option(min=0, max=65_535, help="Of the App; 0 = any free one, a taken one moves on."),
    ] = DEFAULT_PORT,
    dashboard: Annotated[
        str, typer.Option(help="Address of `seglab ui`, for links back.")
    ] = "http://127.0.0.1:7860",
    anew: Annotated[bool, typer.Option(help="Make the dataset from nothing.")] = False,
    app: Annotated[bool, typer.Option(help="Open the App, and keep it open until Ctrl-C.")] = True,
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """Open RUN's labels in FiftyOne: masks, scores, kinds of error, saved views.

    Of each image the newest labels up to a step are shown. Opening the same again only adds what
    is new. Needs MongoDB: one that `make install` brought, or FIFTYONE_DATABASE_URI.
    """
    if evaluation and (iteration or last):
        raise WrongUse("--evaluation shows predictions; --iteration and --last pseudo-labels")
    check_address(dashboard)
    with open_reader(store_root) as store:
        shown = get_run(store, run)
        others = tuple(get_run(store, one) for one in compare or ())
        if shown.run_id in {one.run_id for one in others}:
            raise WrongUse(f"--compare {shown.run_id}: that is the run itself")
        if not evaluation:
            for one in (shown, *others):
                check_labels(store, one, iteration or ())
        for one in others:
            check_same_images(store, shown, one, "val" if evaluation else "train")
        request = build_request(
            store.root,
            shown,
            iterations=tuple(iteration or ()),
            last=last,
            evaluation=evaluation,
            others=others,
            dashboard=dashboard,
        )
        try:
            visit(store, request, port if app else None, anew, json)
        except (NoDatabase, PortBusy, AppFailed) as error:
            raise CommandFailed(str(error)) from None


def check_address(dashboard: str) -> None:
    """Raises WrongUse for what a browser would not open as a page."""
    try:
        found = urlsplit(dashboard)
        is_page = found.scheme in ("http", "https") and bool(found.hostname)
    except ValueError:
        is_page = False
    if not is_page:
        raise WrongUse(f"--dashboard {dashboard}: not an address such as http://127.0.0.1:7860")


def visit(store: Store, request: Request, port: int | None, anew: bool, json: bool) -> None:
    """Fill the dataset; with a port, show it until interrupted."""
    check_installed()
    clear_leftovers(store.root)
    with ending_politely(), database(store.root) as address, leaving_politely(address):
        if port is None:
            tell(fill_here(store, request, address, anew), json)
        else:
            serve(store, request, address, free_port(port), anew, json)


def serve(
    store: Store, request: Request, address: Address, port: int, anew: bool, json: bool
) -> None:
    """Start the App beside filling the dataset; both take seconds."""
    directory = store.root / "fiftyone"
    directory.mkdir(parents=True, exist_ok=True)
    with app_server(directory, port, fiftyone_environment(address, store.root)) as app:
        opened = fill_here(store, request, address, anew, app.address)
        app.wait_until_up()
        with announced(store.root, session_of(request, app.address)):
            tell(opened, json)
            end = wait_for_end(app, address)
    raise CommandFailed(end)


def wait_for_end(app: AppServer, address: Address) -> str:
    """Until the App ends, or our own database under it; says which."""
    while True:
        try:
            return f"FiftyOne's App ended with exit code {app.process.wait(LOOK_SECONDS)}"
        except subprocess.TimeoutExpired:
            if address.ended():
                return "the MongoDB server of this store ended, so FiftyOne's App was closed"


def session_of(request: Request, app: str) -> Session:
    """What the dashboard is told: the dataset, and its view of each kind of the first field."""
    door = door_address(app, request.dataset, request.fields[0].name)
    return Session(
        run_id=request.run_id,
        dataset=request.dataset,
        address=door,
        kinds={name: f"{door}&kind={name}" for name in (kind.name.lower() for kind in KINDS)},
        door=door,
        split=request.split,
        process=this_process(),
    )


def fill_here(
    store: Store, request: Request, address: Address, anew: bool, app: str | None = None
) -> Opened:
    """Fill the dataset in this process, with a bar on stderr."""
    use(address, store.root)
    from app.fiftyone.showing import show  # imports FiftyOne, which reads the environment

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        tasks = {}

        def tell_bar(done: int, total: int, what: str) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        filled, dataset = show(store, request, tell_bar, anew=anew)
    return Opened(
        dataset=dataset.name,
        address=None if app is None else dataset_address(app, dataset.slug),
        images=filled.images,
        labels=dict(filled.labels),
        written=dict(filled.written),
        views=dataset.list_saved_views(),
    )


@contextmanager
def leaving_politely(address: Address) -> Iterator[None]:
    """What FiftyOne does when a process ends is done at the end of the block."""
    try:
        yield
    finally:
        if "app.fiftyone.showing" in sys.modules:
            from app.fiftyone.showing import leave

            leave(address)


@contextmanager
def ending_politely() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal end the block as its end would."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {one: signal.signal(one, interrupt) for one in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except KeyboardInterrupt:
        note("")
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def tell(opened: Opened, json: bool) -> None:
    if json:
        say_json(opened)
        return
    for field, labels in opened.labels.items():
        say(f"{field}: {labels} labels ({opened.written[field]} images were new)")
    if opened.address is not None:
        say(f"FiftyOne is at {opened.address}  (Ctrl-C stops it)")
    else:
        note(f"dataset {opened.dataset!r}, {opened.images} images, {len(opened.views)} views")


def free_port(port: int) -> int:
    """The port itself, or the next free one. Raises PortBusy."""
    with closing(bind("127.0.0.1", port)) as listener:
        return listener.getsockname()[1]
