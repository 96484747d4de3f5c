"""The same work for everybody who keeps what training says. Imports no part of seglab.

Each contestant runs in a process of its own, with its own packages, and prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SCALAR_STEPS, SCALAR_PAUSE = 400, 0.005
LABEL_STEPS = 150
"""mlflow remembers the names of all tables of a run in 8,000 letters: enough for 190."""
QUERY_STEPS = 9
WORST = 50
LABEL = 2
"""The class whose worst labels are asked for."""
SCALARS = {f"loss/{index}": 0.5 for index in range(12)}

Labels = NDArray[np.void]
"""(200,) the labels of a step as records, 25 of each image, images one after the other."""
PER_IMAGE = 25


class Contestant(Protocol):
    """Someone who keeps scalars and labels."""

    def start(self, directory: Path) -> None:
        """Begin a run whose files lie in `directory`."""
        ...

    def scalars(self, step: int, values: dict[str, float]) -> None: ...

    def labels(self, step: int, labels: Labels) -> None: ...

    def finish(self) -> None:
        """Return when everything can be read."""
        ...

    def worst(self, step: int) -> list[float]:
        """The lowest mask qualities of one class at a step, lowest first."""
        ...


def main(make: Callable[[], Contestant]) -> None:
    """Compete: python -m tests.bench.peers.NAME DIRECTORY LABELS.npy"""
    directory, labels = Path(sys.argv[1]), np.load(sys.argv[2])
    directory.mkdir(parents=True)
    half, late = pay_for_scalars(make(), directory / "scalars")
    contestant = make()
    rate = ingest(contestant, directory / "labels", labels)
    found = {
        "p50_us": half,
        "p99_us": late,
        "rows_per_second": rate,
        "query_ms": ask(contestant, labels),
        "bytes_per_label": bytes_of(directory, "labels") / (LABEL_STEPS * len(labels)),
    }
    sys.stdout.write(f"\n{json.dumps(found)}\n")


def pay_for_scalars(contestant: Contestant, directory: Path) -> tuple[float, float]:
    """Microseconds that 12 scalars hold a training thread up: p50, p99."""
    contestant.start(directory)
    times = np.empty(SCALAR_STEPS)
    for step in range(SCALAR_STEPS):
        begin = time.perf_counter()
        contestant.scalars(step, SCALARS)
        times[step] = time.perf_counter() - begin
        time.sleep(SCALAR_PAUSE)
    contestant.finish()
    return float(np.quantile(times, 0.5) * 1e6), float(np.quantile(times, 0.99) * 1e6)


def ingest(contestant: Contestant, directory: Path, labels: Labels) -> float:
    """Labels a second from the first call until all of them can be read."""
    contestant.start(directory)
    begin = time.perf_counter()
    for step in range(LABEL_STEPS):
        contestant.labels(step, labels)
    contestant.finish()
    return LABEL_STEPS * len(labels) / (time.perf_counter() - begin)


def ask(contestant: Contestant, labels: Labels) -> float:
    """Milliseconds of a warm question for the worst labels of a class; the answer is checked."""
    of_class = np.sort(labels["mask_quality"][labels["label"] == LABEL])[:WORST]
    times: list[float] = []
    for step in range(QUERY_STEPS):
        begin = time.perf_counter()
        found = contestant.worst(step * (LABEL_STEPS // QUERY_STEPS))
        times.append(time.perf_counter() - begin)
        np.testing.assert_allclose(found, of_class, rtol=1e-6)
    return 1e3 * float(np.median(times[1:]))


def bytes_of(directory: Path, part: str) -> int:
    """Of all files of one part of the contest; trackio puts them beside the part's directory."""
    files = [file for file in directory.rglob("*") if file.is_file()]
    mine = [one for one in files if one.relative_to(directory).parts[0].startswith(part)]
    return sum(file.stat().st_size for file in mine)
