"""/lab/runs/{run}/fiftyone: how a run is opened in FiftyOne, and where it is open already."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.answers import answer
from app.fiftyone_sessions import open_sessions
from app.questions import Question
from lab.store.queries import get_run
from lab.store.store import Store


def router(root: Path) -> APIRouter:
    """The route over the store in `root`."""
    routes = APIRouter(prefix="/lab")

    @routes.get("/runs/{key}/fiftyone")
    def fiftyone(request: Request, key: str, _: Annotated[Question, Query()]) -> Response:
        with Store.open(root, read_only=True) as store:
            run_id = get_run(store, key).run_id
        dashboard = str(request.base_url).rstrip("/")
        return answer(request, ways_to_open(root, run_id, dashboard))

    return routes


def ways_to_open(root: Path, run_id: str, dashboard: str) -> dict[str, Any]:
    """The command that opens a run, and {dataset, address, ...} of every App that shows it."""
    where = ("--store", str(root.absolute()), "--dashboard", dashboard)
    return {
        "command": shlex.join(("seglab", "fiftyone", run_id, "--last", *where)),
        "sessions": [
            {
                "dataset": one.dataset,
                "address": one.address,
                "kinds": one.kinds,
                "door": one.door,
                "split": one.split,
            }
            for one in open_sessions(root, run_id)
        ],
    }
