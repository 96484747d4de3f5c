"""What verbs cost on a store of ten million labels: python -m tests.bench.bench_verbs [LABELS].

Each is a process of its own: seconds until it ends, processor time, and the most memory it held.
The run that is exported and imported has half a million labels.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from lab.store.queries import get_run
from lab.store.store import Store
from tests.bench.lines import say
from tests.bench.scale_store import LABELS, bench_directory, scale_store

COUNT = "SELECT count(*) FROM pseudo_labels"
BY_KIND = (
    "SELECT class, kind, count(*) FROM pseudo_labels WHERE run_id = '{run_id}' AND kept "
    "GROUP BY class, kind"
)
LOWEST = (
    "SELECT label_id, mask_quality FROM pseudo_labels WHERE run_id = '{run_id}' AND step = 99 "
    "AND class = 'car' ORDER BY mask_quality LIMIT 50"
)


def main(labels: int = LABELS) -> None:
    with bench_directory() as directory, TemporaryDirectory() as place:
        root = scale_store(directory, labels).root
        with Store.open(root, read_only=True) as store:
            run_id = get_run(store, "bench").run_id
        bundle, table = Path(place) / "bench.seglab", Path(place) / "bench.csv"
        say(f"{labels:,} labels: seconds, processor time, most memory")
        for arguments in (
            ("runs",),
            ("show", "bench"),
            ("errors", "bench"),
            ("what-if", "bench"),
            ("sql", LOWEST.format(run_id=run_id)),
            ("sql", BY_KIND.format(run_id=run_id)),
            ("sql", COUNT),
            ("gc",),
            ("gc", "--keep-every", "100"),
            ("export", "bench", str(table), "--format", "csv", "--dropped"),
            ("export", "bench", str(table.with_suffix(".parquet")), "--dropped"),
            ("export", "bench", str(bundle)),
        ):
            measure(root, *arguments)
        say(f"  (the bundle has {bundle.stat().st_size / 1e6:.0f} MB)")
        measure(Path(place) / "other", "import", str(bundle))


def measure(root: Path, *arguments: str) -> None:
    """Run one verb on the store and tell what it cost; it has to succeed."""
    command = [sys.executable, "-m", "app.cli", *arguments, "--store", str(root)]
    begin = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert child.stderr is not None
    complaints = child.stderr.read().decode()
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - begin
    shown = " ".join(Path(one).name if "/" in one else one for one in arguments)
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"{shown}: {complaints}")
    cpu, memory = used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3
    say(f"  {shown[:70]:<72}{wall:6.1f} s {cpu:6.1f} s {memory:6.0f} MB")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
