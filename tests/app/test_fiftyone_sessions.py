"""The dashboard links to an App of FiftyOne while one is open, and only then."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.fiftyone_sessions import Session, announced, directory, open_sessions
from lab.store.processes import identity_of, this_process

SIM = "http://127.0.0.1:5151/datasets/teacher?view=latest-sim"
DOOR = "http://127.0.0.1:5151/seglab/open?dataset=teacher"


@pytest.fixture
def session() -> Session:
    address = "http://127.0.0.1:5151/datasets/teacher"
    return Session("r1", "teacher", address, {"sim": SIM}, DOOR, "train", this_process())


def test_an_app_is_told_of_until_it_ends(tmp_path: Path, session: Session) -> None:
    with announced(tmp_path, session):
        during = open_sessions(tmp_path, "r1")
        others = open_sessions(tmp_path, "r2")

    assert during == [session]
    assert others == []
    assert open_sessions(tmp_path, "r1") == []
    assert list(directory(tmp_path).iterdir()) == []


def test_what_a_killed_app_left_behind_is_passed_over(tmp_path: Path, session: Session) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        left = replace(session, process=identity_of(process.pid))
        with announced(tmp_path, left):
            before = open_sessions(tmp_path, "r1")
            process.kill()
            process.wait()
            after = open_sessions(tmp_path, "r1")

    assert before == [left]
    assert after == []


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"run_id": "r1", "process": 3}'])
def test_a_file_of_something_else_is_no_session(tmp_path: Path, text: str) -> None:
    directory(tmp_path).mkdir()
    (directory(tmp_path) / "app-1.json").write_text(text)

    assert open_sessions(tmp_path, "r1") == []


@pytest.mark.parametrize("link", ["https://example.org/x", "javascript:alert(1)"])
@pytest.mark.parametrize("key", ["kinds", "address", "door"])
def test_a_link_away_from_this_machine_is_no_session(
    tmp_path: Path, session: Session, key: str, link: str
) -> None:
    value = {"sim": link} if key == "kinds" else link
    with announced(tmp_path, session) as path:
        path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))

        assert open_sessions(tmp_path, "r1") == []


def test_the_route_tells_the_command_and_the_open_app(
    client: TestClient, lab_root: Path, run_ids: dict[str, str], session: Session
) -> None:
    run_id = run_ids["teacher"]
    with announced(lab_root, replace(session, run_id=run_id)):
        told = client.get("/lab/runs/teacher/fiftyone").json()

    assert told["command"].startswith(f"seglab fiftyone {run_id} --last --store ")
    assert told["sessions"] == [
        {
            "dataset": "teacher",
            "address": session.address,
            "kinds": {"sim": SIM},
            "door": DOOR,
            "split": "train",
        }
    ]
    assert client.get("/lab/runs/teacher/fiftyone").json()["sessions"] == []
