"""/lab/compare: runs side by side, their curves, and the images they share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from app.answers import answer
from app.comparison import MOST_RUNS, curves, shared_images, side_by_side
from app.questions import Question
from lab.store.queries import RunRow, get_run
from lab.store.store import Store

MOST_IMAGES = 60


class CompareQuestion(Question):
    """Query parameters: which runs, by id, its beginning or a unique name."""

    runs: Annotated[list[str], Field(min_length=1, max_length=MOST_RUNS)]


class CurveQuestion(CompareQuestion):
    """The same, and which scalar."""

    name: str = "loss/total"


def router(root: Path) -> APIRouter:
    """The routes over the store in `root`; each request opens it read-only and closes it."""
    routes = APIRouter(prefix="/lab/compare")

    @routes.get("")
    def compare(request: Request, question: Annotated[CompareQuestion, Query()]) -> Response:
        with Store.open(root, read_only=True) as store:
            return answer(request, side_by_side(store, rows_of(store, question)))

    @routes.get("/curves")
    def lines(request: Request, question: Annotated[CurveQuestion, Query()]) -> Response:
        with Store.open(root, read_only=True) as store:
            return answer(request, curves(store, rows_of(store, question), question.name))

    @routes.get("/images")
    def images(request: Request, question: Annotated[CompareQuestion, Query()]) -> Response:
        with Store.open(root, read_only=True) as store:
            return answer(request, shared_images(store, rows_of(store, question), MOST_IMAGES))

    return routes


def rows_of(store: Store, question: CompareQuestion) -> list[RunRow]:
    """The runs in the order they were asked for, each once."""
    rows = {row.run_id: row for row in (get_run(store, key) for key in question.runs)}
    return list(rows.values())
