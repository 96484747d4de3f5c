"""Where a drill happens: a store of its own, and seglab's real processes around it.

Everything goes through the command line, as a person would do it: what is killed here is what
people run.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from lab.store.queries import list_runs
from lab.store.store import Store

CHECKOUT = Path(__file__).resolve().parents[2]
SEGLAB = (sys.executable, "-m", "app.cli")
ENGINE = "engine.train"
QUIET = {
    "OMP_NUM_THREADS": "1",
    "SEGLAB_STORE": "",
    "HF_HUB_OFFLINE": "1",
    "CUDA_VISIBLE_DEVICES": "",
}
PATIENCE = 600.0
"""Seconds that real work may take on a busy machine: starting torch, training to an end."""


class Fault(AssertionError):
    """Something that a drill promises did not hold; the message says what."""


class Skipped(Exception):
    """A drill that this machine cannot do; the message says why."""


@dataclass(frozen=True)
class Limits:
    """How much is done to the processes."""

    kills: int
    minutes: float
    """No more kills after so many."""


def demand(holds: object, sentence: str) -> None:
    """Raises Fault with the sentence unless it holds."""
    if not holds:
        raise Fault(sentence)


def wait_until(what: Callable[[], object], sentence: str, seconds: float = PATIENCE) -> float:
    """Wait until it is so; the seconds it took. Raises Fault with the sentence."""
    began = time.monotonic()
    while not what():
        demand(time.monotonic() - began < seconds, f"not within {seconds:.0f} s: {sentence}")
        time.sleep(0.2)
    return time.monotonic() - began


@dataclass(frozen=True)
class Done:
    """A verb that has ended."""

    code: int
    out: str
    err: str


@dataclass
class Stage:
    """A store in `root`, and the processes that a drill has started on it."""

    root: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    """On top of ours, for all processes."""
    through: Sequence[str] = ()
    """The command that starts all processes, such as one that takes rights away."""
    worker: subprocess.Popen[bytes] | None = None
    app: subprocess.Popen[bytes] | None = None
    address: str = ""
    """Of the app."""

    @property
    def database(self) -> Path:
        return self.root / "store.db"

    def verb(self, *words: str) -> Done:
        """Run one verb to its end."""
        done = subprocess.run(
            [*self.through, *SEGLAB, *words, "--store", str(self.root)],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
            cwd=CHECKOUT,
            env=self._variables(),
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def do(self, *words: str) -> str:
        """As `verb`, for what has to work: its stdout."""
        done = self.verb(*words)
        demand(done.code == 0, f"seglab {' '.join(words)}: exit code {done.code}: {done.err}")
        return done.out

    def ask(self, *words: str) -> Any:
        """What a verb prints with --json."""
        return json.loads(self.do(*words, "--json"))

    def told(self) -> list[dict[str, Any]]:
        """All runs, newest first, as seglab tells people: by the app while it lives."""
        told = self.app_runs() if self.app is not None else None
        return self.ask("runs") if told is None else told

    def runs(self) -> list[dict[str, Any]]:
        """The same for waiting, asked again and again: without a process, where our own clock and
        rights are theirs."""
        if self.app is not None or self.environment or self.through:
            return self.told()
        with self.reading() as store:
            return [asdict(row) for row in list_runs(store)]

    def reading(self) -> Store:
        """The store, opened as the app opens it to answer."""
        return Store.open(self.root, url="", read_only=True)

    def run(self, run_id: str) -> dict[str, Any]:
        return next(one for one in self.runs() if one["run_id"] == run_id)

    def queue(self, recipe: Path, name: str) -> str:
        """Put a run into the queue; its id. No worker is started for it."""
        return self.ask("queue", str(recipe), "--name", name, "--no-worker")["run_id"]

    def start_worker(self, slots: int = 2) -> None:
        self.worker = self._start("jobs", "worker", "--cpu-slots", str(slots))

    def start_app(self) -> None:
        """Start the dashboard on a free port, wait until it says where it is, and answers."""
        self.app = self._start("ui", "--port", "0", stdout=subprocess.PIPE)
        assert self.app.stdout is not None
        for line in self.app.stdout:
            if b"seglab is at " in line:
                self.address = line.split(b"seglab is at ")[1].split()[0].decode()
                wait_until(lambda: self.app_runs() is not None, "the app answers")
                return
        raise Fault("seglab ui ended before it said where it is")

    def app_runs(self) -> list[dict[str, Any]] | None:
        """The runs as the app tells them; None when it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.address}/lab/runs", timeout=10) as answer:
                return json.load(answer)["runs"]
        except (OSError, ValueError):
            return None

    def order(self, route: str, body: Mapping[str, Any]) -> Any:
        """What the app answers to an order on its pages, such as "acts"."""
        request = urllib.request.Request(
            f"{self.address}/lab/{route}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)
        except OSError as error:
            raise Fault(f"the app does not take the order {route}: {error}") from None

    def trainers(self) -> dict[str, psutil.Process]:
        """The living engine processes of this store, by run id."""
        found = {}
        for process, words in self._processes():
            if ENGINE in words and "--run-id" in words:
                found[words[words.index("--run-id") + 1]] = process
        return found

    def kill_everything(self) -> None:
        """SIGKILL to every process of this store at once, as when a machine loses its power."""
        doomed = [process for process, _ in self._processes()]
        for process in doomed:
            with _unless_gone():
                process.kill()
        psutil.wait_procs(doomed, timeout=30)
        for child in (self.worker, self.app):
            if child is not None:
                child.wait()
        self.worker = self.app = None

    def wait_for_step(self, run_id: str, step: int) -> None:
        """Until a run has recorded a step."""

        def is_there() -> bool:
            found = self.run(run_id)
            demand(found["status"] not in ("failed", "stale"), f"{run_id}: {found['error']}")
            return (found["step"] or -1) >= step

        wait_until(is_there, f"run {run_id} reaches step {step}")

    def wait_for_status(self, run_id: str, *statuses: str, seconds: float = PATIENCE) -> float:
        return wait_until(
            lambda: self.run(run_id)["status"] in statuses,
            f"run {run_id} is {' or '.join(statuses)}",
            seconds,
        )

    def checkpoints(self, run_id: str) -> list[Path]:
        """Its files, oldest first."""
        return sorted((self.root / "runs" / run_id / "checkpoints").glob("step-*.pt"))

    def log(self, run_id: str) -> str:
        return (self.root / "runs" / run_id / "log.txt").read_text(encoding="utf-8")

    def _start(self, *words: str, stdout: int | None = None) -> subprocess.Popen[bytes]:
        with (self.root.parent / f"{words[0]}.log").open("ab") as said:
            return subprocess.Popen(
                [*self.through, *SEGLAB, *words, "--store", str(self.root)],
                stdin=subprocess.DEVNULL,
                stdout=said if stdout is None else stdout,
                stderr=said,
                cwd=CHECKOUT,
                env=self._variables(),
            )

    def _variables(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(CHECKOUT), **QUIET, **self.environment}

    def _processes(self) -> Iterator[tuple[psutil.Process, Sequence[str]]]:
        for process in psutil.process_iter():
            with _unless_gone():
                words = process.cmdline()
                if str(self.root) in words and process.status() != psutil.STATUS_ZOMBIE:
                    yield process, words


@contextmanager
def _unless_gone() -> Iterator[None]:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        yield


def kill(process: psutil.Process, number: int = signal.SIGKILL) -> bool:
    """Send a signal; False when it was gone already."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return False
    return True
