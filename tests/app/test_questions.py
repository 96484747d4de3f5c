"""Every route of our own against senseless parameters; a new route is among them by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.server import build_server

FILES = ("/lab/plotly.min.js",)
"""A browser may ask for a file with any question behind it."""
SENSELESS = (
    *("9223372036854775808", "-9223372036854775809", "1" * 26, "9" * 5_000),
    *("nan", "1e999", "-1", "", "one", "\x00", "score:nan:"),
)
TOO_LONG = SENSELESS[:4]
SENSELESS_BODIES = (
    *(b"", b"{", b"\xff\x00", b"null", b"3", b'"text"', b"[]", b"[[[[]]]]", b"{}"),
    *(b'{"nonsense": 1}', b'{"runs": "teacher", "act": []}', b'{"changes": [1]}', b"1e999"),
)


@dataclass(frozen=True)
class Route:
    """A path with placeholders, and the names of what it takes, those of whole numbers apart."""

    path: str
    verb: str
    query: tuple[str, ...]
    whole: tuple[str, ...]
    required: tuple[str, ...]
    whole_in_path: tuple[str, ...]


def our_routes() -> Iterator[Route]:
    paths = build_server(Path("nowhere")).openapi()["paths"]
    for path, verbs in paths.items():
        if not path.startswith("/lab/") or path in FILES:
            continue
        for verb, told in verbs.items():
            assert verb in ("get", "post"), "teach this test the other verbs"
            given = told.get("parameters", ())
            query = [one for one in given if one["in"] == "query"]
            yield Route(
                path,
                verb,
                tuple(one["name"] for one in query),
                tuple(one["name"] for one in query if is_whole(one["schema"])),
                tuple(one["name"] for one in query if one["required"]),
                tuple(
                    one["name"] for one in given if one["in"] == "path" and is_whole(one["schema"])
                ),
            )


def is_whole(schema: dict) -> bool:
    return any(one.get("type") == "integer" for one in (schema, *schema.get("anyOf", ())))


ROUTES = [route for route in our_routes() if route.verb == "get"]
ACTS = [route for route in our_routes() if route.verb == "post"]


def address(route: Route, **parts: str) -> str:
    """The route of a run and an image that exist, but for `parts`."""
    whole = dict.fromkeys(route.whole_in_path, "1")
    return route.path.format(**{"key": "teacher"} | whole | parts)


def enough(route: Route) -> dict[str, str]:
    return dict.fromkeys(route.required, "0")


def test_the_walk_finds_the_routes() -> None:
    found = {route.path: route for route in ROUTES}

    assert len(found) >= 10
    assert {"it", "span", "image", "pg"} <= set(found["/lab/runs/{key}/labels"].whole)
    assert found["/lab/runs/{key}/images/{image_id}"].whole_in_path == ("image_id",)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_a_parameter_that_is_not_known_is_refused_by_name(client: TestClient, route: Route) -> None:
    answer = client.get(address(route), params=enough(route) | {"nonsense": "1"})

    assert answer.status_code == 422
    assert "nonsense=1: there is no such parameter here" in answer.json()["detail"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_no_value_is_a_stack_trace(client: TestClient, route: Route) -> None:
    """The client raises what the server raises."""
    for name in route.query:
        for value in SENSELESS:
            answer = client.get(address(route), params=enough(route) | {name: value})

            assert answer.status_code in (200, 404, 422), (name, value)
            if answer.status_code == 422:
                assert name in answer.json()["detail"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_a_number_beyond_64_bits_is_refused_by_name(client: TestClient, route: Route) -> None:
    for value in TOO_LONG:
        for name in route.whole:
            answer = client.get(address(route), params=enough(route) | {name: value})

            assert answer.status_code == 422, (name, value)
            assert f"{name}={value[:20]}" in answer.json()["detail"]
        for name in route.whole_in_path:
            answer = client.get(address(route, **{name: value}), params=enough(route))

            assert answer.status_code == 422, (name, value)
            assert f"{name}={value[:20]}" in answer.json()["detail"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_the_largest_and_the_smallest_number_are_numbers(client: TestClient, route: Route) -> None:
    for name in route.whole:
        for value in (2**63 - 1, -(2**63) + 1):
            answer = client.get(address(route), params=enough(route) | {name: str(value)})

            assert answer.status_code in (200, 404, 422), (name, value)


@pytest.mark.parametrize("route", ACTS, ids=lambda route: route.path)
@pytest.mark.parametrize("body", SENSELESS_BODIES)
def test_no_body_is_a_stack_trace(client: TestClient, route: Route, body: bytes) -> None:
    """The client raises what the server raises."""
    answer = client.post(address(route), content=body)

    assert answer.status_code in (404, 409, 422), answer.text
    assert answer.json().get("detail") or answer.json().get("error")


@pytest.mark.parametrize("bounds", ["nan:", ":nan", "inf:-inf", ":1e999"])
def test_a_range_has_finite_ends(client: TestClient, bounds: str) -> None:
    answer = client.get("/lab/runs/teacher/labels", params={"range": f"mask_quality:{bounds}"})

    assert answer.status_code == 422
    assert f"range=mask_quality:{bounds}: expected" in answer.json()["detail"]


def test_a_source_is_one_of_three(client: TestClient) -> None:
    answer = client.get("/lab/runs/teacher/images/1", params={"it": 0, "source": -1})

    assert answer.status_code == 422
    assert answer.json()["detail"] == "source=-1: expected 0, 1 or 2"


def test_what_is_missing_is_named(client: TestClient) -> None:
    answer = client.get("/lab/runs/teacher/images/1")

    assert answer.status_code == 422
    assert answer.json()["detail"] == "it: it is missing"
