"""The same work by seglab, plain sqlite3, trackio and mlflow.

    python -m tests.bench.bench_peers [ROUNDS]

Each contestant is a process of its own. trackio and mlflow are installed for this alone, into the
directory of benchmarks (SEGLAB_BENCH_DIR keeps it), and passed over where the index has them not.
Prints medians of some rounds as a table in Markdown; docs/benchmarks.md has one.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path

import httpx
import numpy as np
import psutil

from app.main import bind
from tests.bench.dashboard import cpu_of, dashboard
from tests.bench.lines import say
from tests.bench.peers.seglab import as_records
from tests.bench.scale_store import bench_directory

ROOT = Path(__file__).parents[2]
ROUNDS = 3
START_SECONDS = 120.0
SHOW_TRACKIO = "import trackio; trackio.show(open_browser=False, server_port={port})"
SERVERS = {
    "trackio": ("-c", SHOW_TRACKIO),
    "mlflow": (
        *("-m", "mlflow", "server", "--workers", "1", "--port", "{port}"),
        *("--backend-store-uri", "sqlite:///{db}"),
    ),
}
"""What python is given to show the results of peers that have a dashboard. mlflow's usual four
workers are killed and started again for ever where they take more than 5 s to start."""
HEADINGS = (
    *("", "12 scalars: p50, p99", "labels a second", "bytes per label", "50 worst of a class"),
    *("dashboard starts", "its processor time"),
)


@dataclass(frozen=True)
class Peer:
    """Who competes, by which module of tests.bench.peers, with packages from where."""

    name: str
    module: str
    packages: Path | None = None
    version: str = ""


@dataclass
class Results:
    """What was measured in each round, by name."""

    rounds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, found: dict[str, float]) -> None:
        for name, value in found.items():
            self.rounds.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        return statistics.median(self.rounds.get(name, [float("nan")]))


def main(rounds: int = ROUNDS) -> None:
    with bench_directory() as kept, tempfile.TemporaryDirectory() as place:
        labels = Path(place) / "labels.npy"
        np.save(labels, as_records())
        peers = [Peer("seglab", "seglab"), Peer("plain sqlite3", "plain_sqlite")]
        peers += [one for name in SERVERS if (one := installed(name, kept / "peers" / name))]
        results = {peer.name: Results() for peer in peers}
        for turn in range(rounds):
            for peer in peers:
                directory = Path(place) / f"{peer.module}-{turn}"
                found = compete(peer, directory, labels) | start_of(peer, directory)
                say(f"{peer.name}, round {turn + 1}: {json.dumps(found)}")
                results[peer.name].add(found)
        table(peers, results)


def installed(name: str, place: Path) -> Peer | None:
    """A peer whose packages are, or now come to be, in a place apart; None when that fails."""
    if not place.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(place), name]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            say(f"{name}: passed over, pip cannot install it here")
            return None
    found = {one.name: one.version for one in distributions(path=[str(place)])}
    return Peer(name, f"with_{name}", place, found.get(name, ""))


def compete(peer: Peer, directory: Path, labels: Path) -> dict[str, float]:
    """One round of the contest, in a process of the peer's own."""
    command = [sys.executable, "-m", f"tests.bench.peers.{peer.module}", directory, labels]
    done = subprocess.run(
        [str(part) for part in command],
        env=environment_of(peer, directory), cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{peer.name}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def environment_of(peer: Peer, directory: Path) -> dict[str, str]:
    path = [str(ROOT)] if peer.packages is None else [str(peer.packages), str(ROOT)]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(path),
        "TRACKIO_DIR": str(directory),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def start_of(peer: Peer, directory: Path) -> dict[str, float]:
    """Seconds until a dashboard shows its first page, and the processor time of that."""
    if peer.packages is None:
        if peer.name != "seglab":
            return {}
        with dashboard(directory / "labels") as ours:
            return {"start": ours.wall_seconds, "start_cpu": ours.cpu_seconds}
    with closing(bind("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    db = directory / "labels" / "mlflow.db"
    command = [part.format(port=port, db=db) for part in SERVERS[peer.name]]
    quiet = subprocess.DEVNULL
    begin = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, *command], env=environment_of(peer, directory), stdout=quiet, stderr=quiet
    )
    try:
        if not answers(f"http://127.0.0.1:{port}/"):
            say(f"{peer.name}: no page after {START_SECONDS:.0f} s")
            return {}
        return {"start": time.perf_counter() - begin, "start_cpu": sum(map(cpu_of, family(child)))}
    finally:
        for one in family(child):
            one.kill()
        child.wait(timeout=30)


def family(child: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """A process and those it has started."""
    first = psutil.Process(child.pid)
    return [*first.children(recursive=True), first]


def answers(url: str) -> bool:
    """Whether a page is there within START_SECONDS; returns as soon as it is."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=60, follow_redirects=True).status_code == 200:
                return True
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    return False


def table(peers: list[Peer], results: dict[str, Results]) -> None:
    say(f"| {' | '.join(HEADINGS)} |\n|---|{'---:|' * (len(HEADINGS) - 1)}")
    for peer in peers:
        found = results[peer.name].median
        starts = found("start") == found("start")
        cells = (
            f"{peer.name} {peer.version}".strip(),
            f"{found('p50_us'):,.0f}, {found('p99_us'):,.0f} us",
            f"{found('rows_per_second'):,.0f}",
            f"{found('bytes_per_label'):.0f}",
            f"{found('query_ms'):.1f} ms",
            f"{found('start'):.1f} s" if starts else "",
            f"{found('start_cpu'):.1f} s" if starts else "",
        )
        say(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
