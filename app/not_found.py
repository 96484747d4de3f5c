"""What a browser is shown at an address where there is no page."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.parts import STATIC

OURS = "/lab/"
"""Answers below are for programs, and say in a sentence what is missing."""


class NotFoundPage:
    """ASGI middleware: a 404 becomes a page with the way back, for those who asked for a page.

    Everybody else gets the answer as it was.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.page = page_text()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not wants_a_page(scope):
            await self.app(scope, receive, send)
            return
        was_missing = False

        async def send_or_drop(message: Message) -> None:
            nonlocal was_missing
            if message["type"] == "http.response.start" and message["status"] == 404:
                was_missing = True
            if not was_missing:
                await send(message)

        await self.app(scope, receive, send_or_drop)
        if was_missing:
            await HTMLResponse(self.page, 404)(scope, receive, send)


def wants_a_page(scope: Scope) -> bool:
    """Whether somebody typed or followed an address that is not one of our answers."""
    if scope["type"] != "http" or scope["method"] != "GET" or scope["path"].startswith(OURS):
        return False
    return "text/html" in Headers(scope=scope).get("accept", "")


def page_text() -> str:
    """not_found.html with the head of every other page: the same colours, light or dark."""
    head = (STATIC / "head.html").read_text(encoding="utf-8")
    return (STATIC / "not_found.html").read_text(encoding="utf-8").replace("<!-- head -->", head)
