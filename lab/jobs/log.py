"""What a run says: the end of its log."""

from __future__ import annotations

from pathlib import Path

from lab.jobs.starting import OUTPUT
from lab.store.store import Store

BLOCK = 65_536


def log_file(store: Store, run_id: str, *, output: bool = False) -> Path:
    """The engine's log; what its process printed where there is none yet, or with `output`."""
    directory = store.run_directory(run_id)
    log = directory / "log.txt"
    return directory / OUTPUT if output or not log.is_file() else log


def tail(path: Path, lines: int) -> str:
    """The last lines of a file, without reading all of it; empty when there is none."""
    if lines < 1 or not path.is_file():
        return ""
    with path.open("rb") as file:
        start = file.seek(0, 2)
        end = b""
        while start > 0 and end.count(b"\n") <= lines:
            size = min(BLOCK, start)
            start -= size
            file.seek(start)
            end = file.read(size) + end
    return "\n".join(end.decode("utf-8", errors="replace").splitlines()[-lines:])
