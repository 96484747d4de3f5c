"""/lab/sizes: what each run takes on disk, by kind."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.answers import answer
from app.questions import Question
from app.run_sizes import RunSizes
from lab.store.errors import StoreMissing
from lab.store.run_bytes import RunBytes
from lab.store.store import Store


def router(root: Path) -> APIRouter:
    """The route over the store in `root`; it remembers what it has measured."""
    routes = APIRouter(prefix="/lab")
    sizes = RunSizes()

    @routes.get("/sizes")
    def run_sizes(request: Request, _: Annotated[Question, Query()]) -> Response:
        return answer(request, sizes_now(root, sizes))

    return routes


def sizes_now(root: Path, sizes: RunSizes) -> dict[str, Any]:
    """Sizes by run id, and of how many runs they are still to come: ask again for those."""
    try:
        opened = Store.open(root, read_only=True)
    except StoreMissing:
        return {"sizes": {}, "waiting": 0}
    with opened as store:
        found = sizes.look(store)
    known = {run_id: size_entry(size) for run_id, size in found.items() if size is not None}
    return {"sizes": known, "waiting": len(found) - len(known)}


def size_entry(size: RunBytes) -> dict[str, Any]:
    """Bytes in all, and of each kind that there is."""
    kinds = {item.name: getattr(size, item.name) for item in fields(size)}
    return {"total": size.total, "kinds": {kind: held for kind, held in kinds.items() if held}}
