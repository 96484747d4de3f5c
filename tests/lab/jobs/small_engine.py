"""A training process as others write them: the store's public verbs, no torch.

Its steps take 20 ms, as many as `schedule.max_steps`. It saves a checkpoint when asked to stop, and
goes on from it; a run that is called "stubborn" does not listen.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from lab.store.queries import get_run
from lab.store.recorder import StoreRecorder
from lab.store.runs import claim_run, rewind_run
from lab.store.store import Store

STEP_SECONDS = 0.02


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", type=Path)
    parser.add_argument("--run-id")
    parser.add_argument("--attempt", type=int)
    chosen = parser.parse_args()
    with Store.open(chosen.store) as store:
        claim_run(store, chosen.run_id, chosen.attempt)
        with (store.run_directory(chosen.run_id) / "starts.txt").open("a") as starts:
            starts.write(f"{chosen.attempt}\n")
        return train(store, chosen.run_id)


def train(store: Store, run_id: str) -> int:
    stops: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stops.append(number))
    directory = store.run_directory(run_id) / "checkpoints"
    directory.mkdir(exist_ok=True)
    first = max((int(file.stem[5:]) for file in directory.glob("step-*.pt")), default=0)
    rewind_run(store, run_id, first)
    recorder = StoreRecorder(store, run_id)
    for step in range(first, get_run(store, run_id).max_steps):
        time.sleep(STEP_SECONDS)
        recorder.scalars(step, {"loss/total": 1.0 / (step + 1)})
        if stops and get_run(store, run_id).name != "stubborn":
            path = directory / f"step-{step + 1:08d}.pt"
            path.touch()
            recorder.checkpoint(step + 1, path)
            recorder.finish("stopped")
            return 0
    recorder.finish("finished")
    return 0


if __name__ == "__main__":
    sys.exit(main())
