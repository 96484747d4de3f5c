"""`seglab fiftyone` as a process: whose server it uses, and what is left of it afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from app.fiftyone.database import database
from app.fiftyone.keeper import free_port, start_somewhere
from app.fiftyone.mongod import PROGRAM_VARIABLE, URI_VARIABLE, find_mongod, stop
from app.fiftyone.readiness import server_at_hand
from app.fiftyone_sessions import directory
from lab.store.store import Store

pytestmark = [pytest.mark.fiftyone, pytest.mark.usefixtures("no_server_is_named")]

PATIENCE = 120.0


@pytest.fixture
def somebodys_server(mongod_exists: None, tmp_path: Path) -> Iterator[str]:
    """The URI of a MongoDB that is not ours."""
    (tmp_path / "server").mkdir()
    process, port = start_somewhere(tmp_path / "server", find_mongod())
    yield f"mongodb://127.0.0.1:{port}/"
    assert process.poll() is None, "somebody's server was stopped"
    stop(process)


def command(root: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "app.cli", "fiftyone", "teacher", "--store", str(root), *options]


def environment(**more: str) -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("FIFTYONE")}
    return {**known, "PYTHONPATH": str(Path.cwd()), **more}


def fill(root: Path, **more: str) -> str:
    """Fill the dataset of a run and show nothing; its name."""
    ended = subprocess.run(
        command(root, "--no-app", "--json"),
        env=environment(**more),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ended.stdout)["dataset"]


def test_datasets_of_two_stores_on_somebodys_server_do_not_meet(
    fiftyone_lab: Store, somebodys_server: str, tmp_path: Path
):
    """The second store is a copy of the first, so that both datasets have the same name."""
    from pymongo import MongoClient

    shutil.copytree(fiftyone_lab.root, tmp_path / "copy", ignore=shutil.ignore_patterns("fiftyone"))
    roots = (fiftyone_lab.root, tmp_path / "copy")

    names = {fill(root, **{URI_VARIABLE: somebodys_server}) for root in roots}

    with MongoClient(somebodys_server) as client:
        ours = [one for one in client.list_database_names() if one.startswith("seglab_")]
        shown = [{one["name"] for one in client[name].datasets.find()} & names for name in ours]
    assert len(ours) == 2
    assert shown == [names, names]
    assert not (directory(tmp_path / "copy") / "mongod.json").exists()


def test_the_doctor_finds_somebodys_server(somebodys_server: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(URI_VARIABLE, somebodys_server)

    assert server_at_hand() == f"answers at {somebodys_server.removeprefix('mongodb://')[:-1]}"


def test_without_a_server_the_verb_ends_with_one_sentence(fiftyone_lab: Store, tmp_path: Path):
    """On a copy: beside the store itself the server of another test may be running."""
    root = tmp_path / "lab"
    shutil.copytree(fiftyone_lab.root, root, ignore=shutil.ignore_patterns("fiftyone"))
    program = tmp_path / "mongod"
    program.write_text(
        "#!/bin/sh\necho libcurl.so.4: cannot open shared object file >&2\nexit 127\n"
    )
    program.chmod(0o755)

    ended = subprocess.run(
        command(root, "--no-app"),
        env=environment(**{PROGRAM_VARIABLE: str(program)}),
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.strip().splitlines()
    assert line.startswith("seglab: FiftyOne needs MongoDB and no mongod starts here")
    assert "libcurl4" in line and URI_VARIABLE in line


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_the_app_however_it_ends(
    fiftyone_lab: Store, mongod_exists: None, tmp_path: Path, how: signal.Signals
):
    root = tmp_path / "lab"
    shutil.copytree(fiftyone_lab.root, root, ignore=shutil.ignore_patterns("fiftyone"))
    verb = subprocess.Popen(
        command(root, "--port", str(free_port())),
        env=environment(),
        stderr=subprocess.DEVNULL,
        preexec_fn=hear_ctrl_c,
    )
    await_(lambda: any(directory(root).glob("app-*.json")) or verb.poll() is not None)
    others = processes_of(verb.pid, root)
    assert len(others) >= 3, "the App's server, the keeper and MongoDB"

    verb.send_signal(how)

    assert verb.wait(PATIENCE) == (-how if how is signal.SIGKILL else 0)
    await_(lambda: not any(one.is_running() for one in others))
    left = {one.name for one in directory(root).iterdir()}
    if how is signal.SIGKILL:
        assert fill(root)  # whoever comes next clears what a kill had to leave
        left = {one.name for one in directory(root).iterdir()}
    assert not [one for one in left if one.startswith(("app-", "mongod.json"))]


def test_when_its_database_is_killed_the_verb_says_so_and_ends(
    fiftyone_lab: Store, mongod_exists: None, tmp_path: Path
):
    root = tmp_path / "lab"
    shutil.copytree(fiftyone_lab.root, root, ignore=shutil.ignore_patterns("fiftyone"))
    verb = subprocess.Popen(
        command(root, "--port", str(free_port())),
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    await_(lambda: any(directory(root).glob("app-*.json")) or verb.poll() is not None)
    others = processes_of(verb.pid, root)
    state = json.loads((directory(root) / "mongod.json").read_text())

    os.kill(state["mongod"], signal.SIGKILL)

    said = verb.communicate(timeout=PATIENCE)[1].strip().splitlines()
    assert verb.returncode == 1
    assert said == ["seglab: the MongoDB server of this store ended, so FiftyOne's App was closed"]
    await_(lambda: not any(one.is_running() for one in others))
    assert not list(directory(root).glob("app-*"))


LEAVE_CUT_OUTS = """
import os, sys
from pathlib import Path
from app.fiftyone.database import database
from app.fiftyone.environment import use
with database(Path(sys.argv[1])) as address:
    use(address, Path(sys.argv[1]))
    import fiftyone
    fiftyone.Dataset("cut-outs of a view that the App showed")
    os._exit(0)
"""


def test_cut_outs_that_the_app_left_are_removed_without_a_word(
    fiftyone_lab: Store, mongod_exists: None, tmp_path: Path
):
    """FiftyOne would ask for them when its server is stopped already, wait 30 s and complain."""
    from pymongo import MongoClient

    root = tmp_path / "lab"
    shutil.copytree(fiftyone_lab.root, root, ignore=shutil.ignore_patterns("fiftyone"))
    subprocess.run([sys.executable, "-c", LEAVE_CUT_OUTS, str(root)], env=environment(), check=True)

    ended = subprocess.run(
        command(root, "--no-app"), env=environment(), capture_output=True, text=True, check=True
    )

    assert "Traceback" not in ended.stderr
    with database(root) as address, MongoClient(address.uri) as client:
        left = client[address.name].datasets.count_documents({"persistent": False})
    assert left == 0


def hear_ctrl_c() -> None:
    """What a shell starts in its background has SIGINT ignored, and hands that down."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def processes_of(verb: int, root: Path) -> list[psutil.Process]:
    """What a verb started, and what was started for its store apart from it."""
    own = psutil.Process(verb).children(recursive=True)
    state = json.loads((directory(root) / "mongod.json").read_text())
    return [*own, psutil.Process(state["keeper"]), psutil.Process(state["mongod"])]


def await_(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)
