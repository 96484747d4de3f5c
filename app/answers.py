"""JSON answers of our own routes: small on the wire, and not sent twice."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError

from lab.config import ConfigError
from lab.config.mistakes import reason
from lab.store.errors import ActionRefused, StoreError

GZIP_FROM_BYTES = 1_024
GZIP_LEVEL = 4
MOST_SHOWN = 60
"""Characters of a refused value that are repeated to the asker."""
OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def answer(request: Request, payload: object) -> Response:
    """`payload` as JSON (NaN becomes null), gzipped, with an ETag of its content.

    The browser keeps what it has and asks again; unchanged content costs a 304 and no bytes.
    """
    body = orjson.dumps(payload, default=plain, option=OPTIONS)
    tag = f'W/"{blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if len(body) >= GZIP_FROM_BYTES and "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, GZIP_LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type="application/json", headers=headers)


def plain(value: Any) -> Any:
    """What orjson does not know: RLE bytes, tuples' cousins, arrays that are not contiguous."""
    if isinstance(value, bytes):
        return value.decode("ascii")
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def refuse(status: int) -> Callable[[Request, Exception], Response]:
    """An exception handler: the sentence of the exception, as JSON."""

    def handle(request: Request, error: Exception) -> Response:
        response = answer(request, {"error": str(error)})
        response.status_code = status
        return response

    return handle


def refuse_question(request: Request, error: Exception) -> Response:
    """A senseless parameter: 422, and in `detail` a sentence that names it and its value."""
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    response = answer(request, {"detail": "; ".join(map(in_words, problems))})
    response.status_code = 422
    return response


def refuse_config(request: Request, error: Exception) -> Response:
    """A config that cannot be: 422, the sentence, and in `problems` each mistake with its key."""
    found = error.mistakes if isinstance(error, ConfigError) else ()
    problems = [{"key": one.key, "reason": one.reason} for one in found]
    response = answer(request, {"error": str(error), "problems": problems})
    response.status_code = 422
    return response


def in_words(problem: dict[str, Any]) -> str:
    """ "span=-1: must be at least 0"."""
    name = ".".join(str(part) for part in problem["loc"][1:])
    if problem["type"] == "missing":
        return f"{name}: it is missing"
    given = f"{name}={str(problem['input'])[:MOST_SHOWN]}"
    if problem["type"] == "extra_forbidden":
        return f"{given}: there is no such parameter here"
    message: str = problem["msg"]
    otherwise = f"{message[:1].lower()}{message[1:]}"
    return f"{given}: {reason(problem['type'], problem.get('ctx', {}), otherwise)}"


def explain_errors(app: FastAPI) -> None:
    """A deleted run, or no store, is an answer with a sentence, not a stack trace."""
    app.add_exception_handler(StoreError, refuse(404))
    app.add_exception_handler(ActionRefused, refuse(409))
    app.add_exception_handler(ConfigError, refuse_config)
    app.add_exception_handler(RequestValidationError, refuse_question)
