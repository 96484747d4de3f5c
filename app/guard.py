"""Who may ask: loopback names only, or anyone who knows the password. Guards every route.

What changes something must besides come from a page of ours, not from another one in the same
browser.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

AUTH_VARIABLE = "SEGLAB_AUTH"
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""


class AccessError(ValueError):
    """The server may not start like this; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """One user and a password. The password never shows in a repr or a log."""

    user: str
    password: str = field(repr=False)

    def match(self, user: str, password: str) -> bool:
        """Compare both in constant time."""
        right_user = hmac.compare_digest(user.encode(), self.user.encode())
        right_password = hmac.compare_digest(password.encode(), self.password.encode())
        return right_user & right_password


def read_credentials(path: Path | None) -> Credentials | None:
    """`user:password` from the first line of a file, else from SEGLAB_AUTH, else None.

    Raises:
        AccessError: the file cannot be read, or the text is not `user:password`.
    """
    if path is None:
        text = os.environ.get(AUTH_VARIABLE)
        return None if text is None else parse_credentials(text, AUTH_VARIABLE)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AccessError(f"{path}: cannot be read: {error}") from None
    return parse_credentials(lines[0] if lines else "", str(path))


def parse_credentials(text: str, origin: str) -> Credentials:
    """Split at the first colon; both sides must be there."""
    user, _, password = text.strip().partition(":")
    if not user or not password:
        raise AccessError(f"{origin}: expected user:password on one line")
    return Credentials(user, password)


def is_loopback(host: str) -> bool:
    """True for names and addresses that only this machine can reach."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def demand_credentials(host: str, credentials: Credentials | None) -> None:
    """Refuse to be reachable from outside without a password.

    Raises:
        AccessError: `host` is not a loopback address and there are no credentials.
    """
    if credentials is None and not is_loopback(host):
        raise AccessError(
            f"host {host} can be reached by others: give --auth FILE (one line, user:password) "
            f"or set {AUTH_VARIABLE}; without them use 127.0.0.1"
        )


class Guard:
    """ASGI middleware: a password for everything, or loopback `Host` names when there is none.

    The second keeps a foreign web page from reading the lab by pointing its own name at
    127.0.0.1 (DNS rebinding). What is not reading, and every web socket, must not come from a
    foreign page at all: a browser would send it along with the visitor's password.
    """

    def __init__(self, app: ASGIApp, credentials: Credentials | None) -> None:
        self.app = app
        self.credentials = credentials

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(headers)
        if refusal is None and scope.get("method") not in READING and is_foreign(headers):
            refusal = PlainTextResponse("This may only be asked by a page of this server.", 403)
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    def _refusal(self, headers: Headers) -> PlainTextResponse | None:
        if self.credentials is None:
            if host_name(headers.get("host", "")) in LOOPBACK_NAMES:
                return None
            return PlainTextResponse("This server answers to loopback names only.", 403)
        given = basic_credentials(headers.get("authorization", ""))
        if given is not None and self.credentials.match(*given):
            return None
        challenge = {"WWW-Authenticate": 'Basic realm="seglab", charset="UTF-8"'}
        return PlainTextResponse("seglab wants a user name and a password.", 401, challenge)


def is_foreign(headers: Headers) -> bool:
    """Whether a browser says that a page of another origin asks. Other programs say nothing."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()


def visitor(headers: Headers) -> str | None:
    """The user name that came with the password; None when nobody had to give one."""
    given = basic_credentials(headers.get("authorization", ""))
    return given and given[0]


def host_name(header: str) -> str:
    """The name in a Host header, without port and brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()


def basic_credentials(header: str) -> tuple[str, str] | None:
    """User and password of an HTTP Basic header; None when it is absent or malformed."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, separator, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if separator else None
