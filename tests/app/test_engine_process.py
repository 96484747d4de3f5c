"""The engine as a process: exit codes pass through, and so does Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.engine_process import capture, evaluate_command, run_command, run_in_foreground

STOPS_GRACEFULLY = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(7))
print("ready", flush=True)
time.sleep(60)
"""
STARTS_IT = "import sys; from app.engine_process import run_in_foreground as run; sys.exit(run({}))"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize("code", [0, 1, 2])
def test_the_exit_code_passes_through(code: int):
    assert run_in_foreground(python(f"import sys; sys.exit({code})")) == code


def test_the_signal_that_killed_the_engine_is_told():
    assert run_in_foreground(python("import os; os.kill(os.getpid(), 9)")) == -9


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_us_reaches_the_engine_and_we_wait_for_its_answer(number: signal.Signals):
    child = STOPS_GRACEFULLY.replace("SIGINT", number.name)
    with subprocess.Popen(
        python(STARTS_IT.format(repr(python(child)))), stdout=subprocess.PIPE, text=True
    ) as ours:
        assert ours.stdout is not None
        assert ours.stdout.readline() == "ready\n"
        os.kill(ours.pid, number)
        assert ours.wait(timeout=30) == 7


def test_our_own_signal_handlers_are_restored():
    before = signal.getsignal(signal.SIGINT)

    run_in_foreground(python("pass"))

    assert signal.getsignal(signal.SIGINT) is before


def test_captured_output_is_stdout_alone():
    code, text = capture(python("import sys; print('out'); print('err', file=sys.stderr)"))

    assert (code, text) == (0, "out\n")


def test_the_command_lines_are_those_the_engine_reads():
    root = Path("/a store")

    assert run_command(root, "r1")[1:] == [
        *("-m", "engine.train", "run"),
        *("--store", "/a store", "--run-id", "r1"),
    ]
    asked = evaluate_command(root, "r1", step=5, model="student", out=Path("p.json"))
    assert asked[-7:] == ["--step", "5", "--model", "student", "--out", "p.json", "--json"]
    assert "--step" not in evaluate_command(root, "r1", step=None, model=None, out=None)
