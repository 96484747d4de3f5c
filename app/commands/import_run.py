"""`seglab import`: a run that another store exported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import Json, StoreRoot
from app.commands.terminal import say, say_json
from lab.store.bundle import import_bundle
from lab.store.queries import get_run
from lab.store.store import Store


def import_run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Written by seglab export.")],
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """Take a run of another store into this one: every label, mask, curve and event of it.

    A run that is here already is left as it is.
    """
    with Store.open(store_root) as store:
        manifest, new = import_bundle(store, file)
        row = get_run(store, manifest.run_id)
        if json:
            say_json({"imported": new, "run": row})
        elif new:
            say(f"{row.name} ({row.run_id}) is now in {store.root}")
        else:
            say(f"{row.name} ({row.run_id}) was there already, with the same content")
