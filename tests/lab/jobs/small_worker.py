"""A real worker process with the small engine: python tests/lab/jobs/small_worker.py ROOT SLOTS"""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path

from lab.jobs.devices import slots_of
from lab.jobs.worker import Worker, work
from lab.store.store import Store

ENTRY = (sys.executable, str(Path(__file__).parent / "small_engine.py"))

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    with Store.open(Path(sys.argv[1])) as opened:
        worker = Worker(opened, slots_of([], int(sys.argv[2])), entry=ENTRY)
        work(worker, idle_seconds=1.0, leaving=threading.Event())
