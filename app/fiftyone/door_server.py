"""The door of `app.fiftyone.door` on the App's server."""

from __future__ import annotations

import fiftyone as fo
from fiftyone.core.utils import to_slug
from fiftyone.server.events.state import get_state
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.fiftyone.app_server import DOOR
from app.fiftyone.asked_views import save_asked_view
from app.fiftyone.dataset import Dataset, bring_forward, recorded_request
from app.fiftyone.door import WrongAddress, find_way, page_of, read_wish
from lab.store.errors import StoreError


class WithDoor:
    """ASGI middleware that answers DOOR; everything else is FiftyOne's."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != DOOR:
            await self.app(scope, receive, send)
            return
        parameters = dict(QueryParams(scope["query_string"]))
        response = await run_in_threadpool(answer, parameters)
        await response(scope, receive, send)


def answer(parameters: dict[str, str]) -> Response:
    """The way to what an address asks for, or a sentence about what is wrong with it."""
    try:
        return RedirectResponse(page_for(parameters), status_code=303)
    except (WrongAddress, StoreError) as error:
        return PlainTextResponse(str(error), status_code=404)


def page_for(parameters: dict[str, str]) -> str:
    """Saves the view if there is one to show. Raises WrongAddress, StoreError."""
    wish = read_wish(parameters)
    dataset = dataset_named(wish.dataset)
    request = recorded_request(dataset)
    if request is None:
        raise WrongAddress(f"dataset={wish.dataset}: was not made by seglab")
    way = find_way(wish, request)
    if way.sample is not None and not len(dataset.select(way.sample)):
        raise WrongAddress(f"image={wish.image}: it has no labels in this dataset")
    if wish.field is not None:
        bring_forward(dataset, wish.field)
    slug = None
    if way.plan is not None:
        slug = to_slug(save_asked_view(dataset, way.plan))
    forget_what_was_open()
    return page_of(dataset.slug, way, slug)


def forget_what_was_open() -> None:
    """Let the page that is loaded next open what its address says.

    One server shows every tab the same: FiftyOne would keep to the view that some tab opened last.
    """
    state = get_state()
    state.dataset = None
    state.view = None


def dataset_named(name: str) -> Dataset:
    """As it is now: another process may have saved views since. Raises WrongAddress."""
    if not fo.dataset_exists(name):
        raise WrongAddress(f"dataset={name}: there is none of this name here")
    dataset: Dataset = fo.load_dataset(name)
    dataset.reload()
    return dataset
