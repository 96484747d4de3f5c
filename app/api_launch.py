"""/lab/launch: the form, what a wish comes to, and putting it into the queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import Field, model_validator

from app.answers import answer
from app.config_form import config_form
from app.launch import LaunchError, differences, queue_run
from app.presets import find_presets
from app.questions import Order, Question
from app.wishes import Granted, Wish, flat, foretell, grant, problems_of
from lab.config import ConfigError
from lab.jobs.background import ensure_worker
from lab.store.errors import StoreMissing
from lab.store.runs import add_event
from lab.store.store import Store


class WishOrder(Order):
    """What a run starts from, exactly one of three, and what is to be different."""

    preset: str | None = None
    run: str | None = None
    fork: str | None = None
    changes: Annotated[dict[str, Any], Field(max_length=500, default_factory=dict)]

    @model_validator(mode="after")
    def _one_start(self) -> WishOrder:
        if sum(one is not None for one in (self.preset, self.run, self.fork)) != 1:
            raise ValueError("give exactly one of preset, run and fork")
        return self

    def wish(self) -> Wish:
        return Wish(self.changes, self.preset, self.run, self.fork)


class LaunchOrder(WishOrder):
    """The same, to be trained."""

    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = 0
    shown: dict[str, Any] | None = None
    """The config that the visitor confirmed, by dotted key; anything else is refused."""


def router(root: Path) -> APIRouter:
    """The routes over the store in `root`, which the first launch makes."""
    routes = APIRouter(prefix="/lab/launch")

    @routes.get("")
    def form(request: Request, _: Annotated[Question, Query()]) -> Response:
        presets = [{"name": one.name, "about": one.about} for one in find_presets()]
        return answer(request, {"groups": config_form(), "presets": presets})

    @routes.post("/check")
    def check(request: Request, order: WishOrder) -> Response:
        with reading(root) as store:
            try:
                told = foretell(root, store, grant(store, order.wish()))
            except (ConfigError, LaunchError) as error:
                told = {"problems": problems_of(error)} | base_of(store, order.wish())
        return answer(request, told)

    @routes.post("")
    def launch(request: Request, order: LaunchOrder) -> Response:
        with Store.open(root) as store:
            try:
                granted = grant(store, order.wish())
                refuse_unless_shown(granted, order.shown)
                run_id = queue(store, granted, order.priority)
            except LaunchError as error:
                raise HTTPException(422, str(error)) from None
            worker = ensure_worker(store)
        return answer(request, {"run_id": run_id, "worker": worker})

    return routes


@contextmanager
def reading(root: Path) -> Iterator[Store | None]:
    """The store to read, or None while there is none."""
    try:
        store = Store.open(root, read_only=True)
    except StoreMissing:
        yield None
        return
    with store:
        yield store


def base_of(store: Store | None, wish: Wish) -> dict[str, Any]:
    """What the form showed before somebody wrote a value that cannot be; nothing without a base."""
    try:
        granted = grant(store, Wish({}, wish.preset, wish.run, wish.fork))
    except (ConfigError, LaunchError):
        return {"base": {}, "config": None}
    return {"base": flat(granted.base), "config": None}


def refuse_unless_shown(granted: Granted, shown: dict[str, Any] | None) -> None:
    """Raises HTTPException 409 when the config is not the one that was confirmed."""
    now = flat(granted.config)
    if shown is None or shown == now:
        return
    keys = sorted(key for key in shown.keys() | now.keys() if shown.get(key) != now.get(key))
    raise HTTPException(
        409, f"What it starts from has changed since ({', '.join(keys)}): look again, then launch."
    )


def queue(store: Store, granted: Granted, priority: int) -> str:
    """Put it into the queue, with where it comes from; its run id."""
    run_id = queue_run(
        store,
        granted.config,
        command=granted.command,
        fork=granted.point,
        priority=priority,
        with_worker=False,
    )
    if granted.like is not None:
        changes = differences(granted.base, granted.config)
        add_event(store, run_id, 0, "launched", {"like": granted.like.run_id, "changes": changes})
    return run_id
