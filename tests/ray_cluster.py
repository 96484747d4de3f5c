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
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 240.0


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def running_cluster() -> Iterator[str]:
    """Start it, answer with the address of its dashboard, and end it with all its processes."""
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as directory:  # short: sockets
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
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("RAY_")
        }
        environment |= {"PYTHONPATH": str(ROOT), "RAY_ENABLE_RECORD_ACTOR_TASK_LOGGING": "0"}
        log = (Path(directory) / "start.txt").open("wb")
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
                *("--include-dashboard=true", "--disable-usage-stats", *command),
            ],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(address, process, Path(log.name))
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
            log.close()


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        try:
            urlopen(f"{address}/api/version", timeout=5).close()
            return
        except (URLError, OSError):
            time.sleep(0.5)
    raise TimeoutError(f"no Ray cluster at {address} after {START_SECONDS:.0f} s")
