"""`seglab ui`: the dashboard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import StoreRoot
from app.commands.terminal import CommandFailed, say
from app.guard import read_credentials
from app.main import DEFAULT_PORT, PortBusy, serve
from lab.store.store import default_root


def ui(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port; 0 = any free one.")
    ] = DEFAULT_PORT,
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
    try:
        serve(root, host, port, credentials=read_credentials(auth), announce=_announce)
    except PortBusy as error:
        raise CommandFailed(str(error)) from None


def _announce(address: str) -> None:
    say(f"seglab is at {address}  (Ctrl-C stops it)")
