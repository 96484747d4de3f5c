"""The process of FiftyOne's App: its server behind two rules and a door of ours.

The page may ask this machine alone (FiftyOne's asks Google for its fonts), and the server answers
to loopback names alone, as the dashboard's does.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.guard import Guard

POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "connect-src 'self' data: blob: ws://127.0.0.1:* ws://localhost:*"
)
"""Content-Security-Policy: the browser itself refuses to ask anybody else."""


class OnlyThisMachine:
    """ASGI middleware that adds POLICY to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = POLICY
            await send(message)

        await self.app(scope, receive, send_with_policy)


def main(port: int) -> None:
    """Serve until told to end."""
    os.environ["FIFTYONE_SERVER"] = "1"  # read when FiftyOne is imported
    from fiftyone.server.app import app
    from fiftyone.server.events import set_port
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    from app.fiftyone.door_server import WithDoor

    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.graceful_timeout = 1
    config.shutdown_timeout = 1
    set_port(port)
    guarded: Any = Guard(OnlyThisMachine(WithDoor(app)), credentials=None)
    asyncio.run(serve(guarded, config))


if __name__ == "__main__":
    main(int(sys.argv[1]))
