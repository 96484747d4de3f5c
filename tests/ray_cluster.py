"""A real Ray cluster on this machine: two CPUs and a GPU that is a number and nothing else."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 280.0
PATIENCE = {
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "200",
    "RAY_gcs_server_port_wait_time_s": "200",
    "RAY_agent_register_timeout_ms": "200000",
    "RAY_worker_register_timeout_seconds": "200",
    "RAY_health_check_timeout_ms": "60000",
    "RAY_ENABLE_RECORD_ACTOR_TASK_LOGGING": "0",
}
"""Ray's processes may take longer to find each other than it thinks."""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def running_cluster() -> Iterator[str]:
    """Start it, answer with the address of its dashboard, and end it with all its processes."""
    deadline = time.monotonic() + START_SECONDS
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as directory:  # short: sockets
        while True:
            process, address, log = _start(Path(directory))
            try:
                if _answers(address, process, deadline):
                    yield address
                    return
            finally:
                _end(process)
            assert time.monotonic() < deadline, f"no Ray cluster: {log.read_text()[-2000:]}"


def _start(directory: Path) -> tuple[subprocess.Popen[bytes], str, Path]:
    """A head in a session of its own, the address of its dashboard, and what it prints."""
    port = free_port()
    options = {
        "port": free_port(),
        "dashboard-port": port,
        "dashboard-agent-listen-port": free_port(),
        "ray-client-server-port": free_port(),
        "num-cpus": 2,
        "num-gpus": 1,
        "object-store-memory": 80_000_000,
        "temp-dir": directory,
    }
    command = [f"--{name}={value}" for name, value in options.items()]
    others = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    log = directory / "start.txt"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
                *("--include-dashboard=true", "--disable-usage-stats", *command),
            ],
            env={**others, "PYTHONPATH": str(ROOT), **PATIENCE},
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return process, f"http://127.0.0.1:{port}", log


def _answers(address: str, process: subprocess.Popen[bytes], deadline: float) -> bool:
    """Whether it comes up; False when it has ended, as it does after 30 s on a busy machine."""
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urlopen(f"{address}/api/version", timeout=5).close()
            return True
        except (URLError, OSError):
            time.sleep(0.5)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the head to take its processes along; kill the whole session where it does not."""
    with suppress(ProcessLookupError):
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=60)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
