"""Who may ask, and what is said to the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.guard import (
    AUTH_VARIABLE,
    AccessError,
    Credentials,
    basic_credentials,
    demand_credentials,
    host_name,
    is_loopback,
    read_credentials,
)
from app.server import build_server

OWNER = Credentials("ada", "correct:horse")
EVERYWHERE = ["/", "/labels", "/config", "/gradio_api/info", "/lab/runs", "/lab/plotly.min.js"]


@pytest.mark.parametrize("path", EVERYWHERE)
def test_with_a_password_every_route_asks_for_it(lab_root: Path, path: str) -> None:
    with TestClient(build_server(lab_root, credentials=OWNER), base_url="http://lab") as client:
        assert client.get(path).status_code == 401
        assert client.get(path, auth=("ada", "wrong")).status_code == 401
        assert client.get(path, auth=("ada", "correct:horse")).status_code == 200


def test_without_a_password_only_loopback_names_are_answered(lab_root: Path) -> None:
    app = build_server(lab_root)
    for name, status in (("127.0.0.1:7860", 200), ("localhost", 200), ("evil.example", 403)):
        with TestClient(app, base_url=f"http://{name}") as client:
            assert client.get("/lab/runs").status_code == status, name


def test_others_can_only_come_with_a_password() -> None:
    with pytest.raises(AccessError, match=r"host 0\.0\.0\.0 can be reached by others"):
        demand_credentials("0.0.0.0", None)

    demand_credentials("0.0.0.0", OWNER)
    demand_credentials("127.0.0.1", None)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.7", False),
        ("localhost.example", False),
    ],
)
def test_loopback_is_this_machine_only(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_credentials_come_from_a_file_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "auth"
    file.write_text("ada:correct:horse\n")
    monkeypatch.setenv(AUTH_VARIABLE, "bob:secret")

    assert read_credentials(file) == OWNER
    assert read_credentials(None) == Credentials("bob", "secret")


@pytest.mark.parametrize("text", ["", "ada", "ada:", ":secret"])
def test_half_a_credential_is_refused_by_file_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "auth"
    file.write_text(text)

    with pytest.raises(AccessError, match="auth: expected user:password"):
        read_credentials(file)


def test_the_password_shows_in_no_repr() -> None:
    assert "horse" not in repr(OWNER)


@pytest.mark.parametrize("header", ["", "Bearer abc", "Basic !!!", "Basic YWRh", "Basic /w=="])
def test_malformed_headers_are_no_credentials(header: str) -> None:
    assert basic_credentials(header) is None


@pytest.mark.parametrize(
    ("header", "name"), [("[::1]:80", "::1"), ("LOCALHOST:80", "localhost"), ("", "")]
)
def test_the_name_in_a_host_header(header: str, name: str) -> None:
    assert host_name(header) == name
