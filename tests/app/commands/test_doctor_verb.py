"""`doctor`: what is missing is said, and only what is broken is a failure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.cli import main
from app.commands.doctor import check_browser, check_disk, check_package, check_python, check_store
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
