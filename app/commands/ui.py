"""`seglab ui`: the dashboard."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import StoreRoot, open_reader
from app.commands.terminal import CommandFailed, WrongUse, note, say
from app.guard import read_credentials
from app.main import DEFAULT_PORT, PortBusy, UnknownHost, serve
from lab.store.errors import StoreMissing
from lab.store.store import default_root


def ui(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            help="Port; 0 = any free one, a taken one moves on to the next free.",
            show_default=str(DEFAULT_PORT),
        ),
    ] = None,
    auth: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="One line, user:password (or the variable SEGLAB_AUTH). "
            "Demanded when others can reach HOST.",
        ),
    ] = None,
    store_root: StoreRoot = None,
) -> None:
    """Open the dashboard; it follows running runs, and no request leaves the machine."""
    root = store_root or default_root()
    with suppress(StoreMissing):  # the pages say what to do then
        open_reader(root).close()
    try:
        serve(
            root,
            host,
            DEFAULT_PORT if port is None else port,
            credentials=read_credentials(auth),
            announce=partial(_announce, port),
        )
    except UnknownHost as error:
        raise WrongUse(str(error)) from None
    except PortBusy as error:
        raise CommandFailed(str(error)) from None


def _announce(asked: int | None, address: str) -> None:
    """Say where it is, and why it is not where it was asked to be."""
    if asked and not address.endswith(f":{asked}"):
        note(f"port {asked} is taken: this is the next free one")
    say(f"seglab is at {address}  (Ctrl-C stops it)")
