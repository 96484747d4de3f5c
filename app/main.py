"""The dashboard as a process: choose a port, say where it is, serve until interrupted."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import uvicorn

from app.guard import Credentials, demand_credentials

DEFAULT_PORT = 7860
PORTS_TO_TRY = 20
BACKLOG = 2048
"""Connections that may wait; uvicorn's own number."""


class PortBusy(RuntimeError):
    """No port could be bound; the message names the host and the ports."""


class UnknownHost(RuntimeError):
    """The name of the host means no address; the message names it."""


def serve(
    root: Path,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    *,
    credentials: Credentials | None = None,
    announce: Callable[[str], None],
) -> None:
    """Serve the dashboard of the store in `root` until interrupted.

    Args:
        root: directory of the store; it may still be empty or absent.
        port: 0 = any free one; a busy one moves on to the next free of the following 20.
        announce: told the address once, as soon as it is known.

    Raises:
        UnknownHost: `host` is a name that does not resolve.
        AccessError: `host` is not loopback and there are no credentials.
        PortBusy: nothing in the range is free.
    """
    check_host(host)
    demand_credentials(host, credentials)
    listener = bind(host, port)
    with closing(listener):
        announce(address(host, listener.getsockname()[1]))
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        from app.server import build_server  # Gradio reads its settings on import.

        app = build_server(root, credentials=credentials)
        gc.freeze()  # a full collection would look at all that Gradio brought, again and again
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)
        uvicorn.Server(config).run(sockets=[listener])


def check_host(host: str) -> None:
    """Raises UnknownHost when `host` is neither an address nor a name that resolves to one."""
    try:
        socket.getaddrinfo(host, None)
    except (socket.gaierror, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnknownHost(f"host {host}: the name does not resolve ({reason})") from None


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens at the first free port from `port` on (0 = any).

    Who connects before the server runs waits for it, and no other process gets the same port. Its
    protocol is named, because only then does asyncio send the parts of an answer without waiting
    for each other (TCP_NODELAY): 40 ms of every small answer.
    """
    candidates = [0] if port == 0 else list(range(port, min(port + PORTS_TO_TRY, 65_536)))
    reason: str | None = None
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in candidates:
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            reason = error.strerror
            continue
        return listener
    raise PortBusy(f"{host}: no free port in {candidates[0]}-{candidates[-1]} ({reason})")


def address(host: str, port: int) -> str:
    """The URL to open. A wildcard host is shown as this machine's loopback."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"
