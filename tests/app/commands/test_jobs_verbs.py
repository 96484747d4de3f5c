"""`queue`, `jobs` and `apply`: what they say, and with which exit code. No process is started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli import main
from lab.store.queries import get_run, list_runs
from lab.store.runs import claim_run
from lab.store.store import Store

CONFIG = 'name = "good"\n[method]\nname = "pl_dc"\ndicc = false\nburn_in_steps = 2\n'


@pytest.fixture
def queue(tmp_path: Path, store: Store, capsys: pytest.CaptureFixture[str]):
    """Queue a run by its name and return its id."""
    path = tmp_path / "good.toml"
    path.write_text(CONFIG, encoding="utf-8")

    def add(name: str, *more: str) -> str:
        where = ("--store", str(store.root), "--json", "--no-worker")
        assert main(["queue", str(path), "--name", name, *more, *where]) == 0
        return json.loads(capsys.readouterr().out)["run_id"]

    return add


def say(capsys: pytest.CaptureFixture[str], store: Store, *words: str) -> tuple[int, str, str]:
    code = main([*words, "--store", str(store.root)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_queue_is_listed_in_its_order_and_says_when_nobody_works(queue, store, capsys):
    first, second = queue("first"), queue("second", "--priority", "2")

    code, out, err = say(capsys, store, "jobs", "ls")
    listed = json.loads(say(capsys, store, "jobs", "ls", "--json")[1])

    assert code == 0
    assert out.index(second) < out.index(first)
    assert "no worker lives" in err
    assert [(job["name"], job["place"]) for job in listed["jobs"]] == [("second", 1), ("first", 2)]
    assert listed["workers"] == []


def test_a_run_is_moved_cancelled_and_resumed(queue, store, capsys):
    first, second = queue("first"), queue("second")

    assert say(capsys, store, "jobs", "move", "second", "--before", "first")[0] == 0
    line = json.loads(say(capsys, store, "jobs", "move", first, "--back", "--json")[1])
    assert [job["run_id"] for job in line] == [second, first]

    assert "taken out of the queue" in say(capsys, store, "jobs", "cancel", "first", "second")[1]
    assert get_run(store, first).status == "stopped"
    code, out, err = say(capsys, store, "jobs", "cancel", "first")
    assert (code, out) == (1, "")
    assert "is stopped: cancel is for runs that are queued" in err
    done = say(capsys, store, "jobs", "resume", "first", "--no-worker", "--json")[1]
    assert json.loads(done) == {"done": {first: "queued"}, "refused": []}
    assert say(capsys, store, "jobs", "retry", "second", "--no-worker", "--from-start")[0] == 0


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("queue",), 2, "say what to train"),
        (("queue", "nowhere.toml"), 2, "nowhere.toml: cannot be read"),
        (("jobs", "move", "first"), 2, "say one of --priority N"),
        (("jobs", "cancel", "nobody"), 2, "no such run"),
        (("jobs", "log", "nobody"), 2, "no such run"),
        (("apply", "first", "mask_threshold=0.5"), 2, "is queued: apply is for"),
        (("apply", "first", "mask_threshold"), 2, "expected key=value"),
    ],
)
def test_wrong_use_is_one_sentence(queue, store, capsys, words, code, sentence):
    queue("first")

    found, _, err = say(capsys, store, *words)

    assert found == code
    assert sentence in err
    assert "Traceback" not in err


@pytest.mark.parametrize("priority", ["99999999999999999999", "-1000001"])
def test_a_priority_beyond_all_bounds_queues_nothing(queue, store, capsys, tmp_path, priority):
    queue("first")

    moved = say(capsys, store, "jobs", "move", "first", f"--priority={priority}")
    queued = say(capsys, store, "queue", str(tmp_path / "good.toml"), f"--priority={priority}")

    assert (moved[0], queued[0]) == (2, 2)
    assert "--priority" in moved[2] and "1000000" in moved[2]
    assert [row.name for row in list_runs(store)] == ["first"]


def test_a_device_of_its_own_choice_is_refused_before_anything_is_written(store, tmp_path, capsys):
    path = tmp_path / "good.toml"
    path.write_text(CONFIG, encoding="utf-8")

    code, _, err = say(capsys, store, "queue", str(path), "-o", "schedule.device=cuda:1")

    assert code == 2
    assert "schedule.device = 'cuda:1'" in err
    assert say(capsys, store, "jobs", "ls", "--json")[1].count("run_id") == 0


def test_what_a_run_cannot_change_is_said_at_once_and_silence_is_a_failure(queue, store, capsys):
    run_id = queue("first")
    claim_run(store, run_id)  # running, but nobody listens

    code, _, err = say(capsys, store, "apply", "first", "mask_threshold=1.5")
    assert code == 2
    assert "mask_threshold = 1.5" in err
    code, _, err = say(capsys, store, "apply", "first", "seed=5")
    assert (code, "seed: cannot change while the run trains" in err) == (2, True)
    code, _, err = say(capsys, store, "apply", "first", "mask_threshold=0.5", "--timeout", "0")
    assert (code, "has not answered within 0 s" in err) == (1, True)


def test_the_end_of_the_log_is_shown(queue, store, capsys):
    directory = store.run_directory(queue("first"))
    directory.mkdir(parents=True)
    (directory / "log.txt").write_text("one\ntwo\nthree\n", encoding="utf-8")

    assert say(capsys, store, "jobs", "log", "first", "-n", "2")[:2] == (0, "two\nthree\n")
