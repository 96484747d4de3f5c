"""`doctor`: what is missing is said, and only what is broken is a failure."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from app.cli import main
from app.commands.doctor import (
    check_browser,
    check_disk,
    check_fiftyone,
    check_package,
    check_python,
    check_store,
)
from app.fiftyone.mongod import PROGRAM_VARIABLE, URI_VARIABLE
from lab.store.database import VARIABLE
from lab.store.store import Store


def test_a_python_that_is_too_old_is_broken():
    assert check_python((3, 10)).state == "broken"
    assert check_python((3, 11)).state == "ok"


def test_a_package_that_is_missing_is_broken():
    assert check_package("no-such-package-of-ours").state == "broken"
    assert check_package("numpy").state == "ok"


def test_a_missing_browser_is_worth_a_note_alone():
    found = check_browser({"chromium-browser": "/bin/chromium-browser"}.get)

    assert (found.state, found.detail) == ("ok", "/bin/chromium-browser")
    assert check_browser(lambda _: None).state == "note"


def test_a_store_is_counted(store: Store, recorded: str):
    found = check_store(store.root)

    assert found.state == "ok"
    assert "1 run," in found.detail


def test_no_store_yet_is_worth_a_note_and_a_damaged_one_is_broken(tmp_path: Path):
    assert check_store(tmp_path).state == "note"
    (tmp_path / "store.db").write_bytes(b"this is not a database" * 100)
    assert check_store(tmp_path).state == "broken"


@pytest.mark.postgres
def test_a_store_on_a_server_is_named_without_its_password(
    new_database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    url = new_database().replace("seglab@", "seglab:geheim@")
    monkeypatch.setenv(VARIABLE, url)
    before = check_store(tmp_path)
    Store.open(tmp_path).close()
    after = check_store(tmp_path)
    monkeypatch.setenv(VARIABLE, url.replace("?host=", "?host=/nowhere"))
    gone = check_store(tmp_path)

    assert (before.state, after.state, gone.state) == ("note", "ok", "broken")
    assert "postgresql://seglab@" in after.detail and "answers" in after.detail
    assert "No such file or directory" in gone.detail and "\n" not in gone.detail
    assert not any("geheim" in one.detail for one in (before, after, gone))


def test_the_disk_is_looked_at_where_the_store_will_be(tmp_path: Path):
    assert str(tmp_path) in check_disk(tmp_path / "not" / "yet").detail


def test_a_broken_store_makes_the_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "store.db").write_bytes(b"this is not a database" * 100)

    assert main(["doctor", "--store", str(tmp_path)]) == 1
    assert "broken" in capsys.readouterr().out


@pytest.fixture
def fiftyone_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """FiftyOne is there, and nobody has named a server or a program."""
    if find_spec("fiftyone") is None:
        pytest.skip("FiftyOne is not installed: pip install -e '.[fiftyone]'")
    for variable in (URI_VARIABLE, PROGRAM_VARIABLE):
        monkeypatch.delenv(variable, raising=False)


def fake_mongod(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_fiftyone_and_the_mongod_that_it_would_use_are_named(
    fiftyone_installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    program = fake_mongod(tmp_path / "mongod", "echo db version v6")
    monkeypatch.setenv(PROGRAM_VARIABLE, str(program))

    package, server = check_fiftyone()

    assert (package.name, package.state, package.detail) == ("fiftyone", "ok", version("fiftyone"))
    assert (server.name, server.state, server.detail) == ("mongodb", "ok", f"mongod at {program}")


def test_a_mongod_that_hangs_is_not_waited_for(
    fiftyone_installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(PROGRAM_VARIABLE, str(fake_mongod(tmp_path / "mongod", "exec sleep 60")))
    began = time.monotonic()

    server = check_fiftyone()[1]

    assert time.monotonic() - began < 10
    assert server.state == "broken"
    assert PROGRAM_VARIABLE in server.detail and "does not say its version" in server.detail


def test_a_server_that_does_not_answer_is_broken_and_its_password_stays_secret(
    fiftyone_installed: None, monkeypatch: pytest.MonkeyPatch
):
    with socket.socket() as deaf:  # it takes the call and never says a word
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        port = deaf.getsockname()[1]
        monkeypatch.setenv(URI_VARIABLE, f"mongodb://ada:geheim@127.0.0.1:{port}/")
        began = time.monotonic()

        server = check_fiftyone()[1]

    assert time.monotonic() - began < 10
    assert server.state == "broken"
    assert f"unset {URI_VARIABLE}" in server.detail
    assert "geheim" not in server.detail


@pytest.mark.parametrize("uri", ["nonsense", "mongodb://", "mongodb://h:x/", "mongodb://a:b@c@d/"])
def test_a_server_address_that_is_none_is_told_in_one_line(
    fiftyone_installed: None, monkeypatch: pytest.MonkeyPatch, uri: str
):
    monkeypatch.setenv(URI_VARIABLE, uri)

    server = check_fiftyone()[1]

    assert server.state == "broken"
    assert server.detail.startswith(URI_VARIABLE) and "\n" not in server.detail
