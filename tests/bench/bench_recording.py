"""What recording every step costs the training thread: one real run, recorded every other step.

    python -m tests.bench.bench_recording [--steps 120]

Odd steps tell a recorder everything (scalars, and every candidate with its mask), even steps tell
a recorder that listens to nothing; the same process, the same network, the same images. Reported
are the calls' own time and the whole step's.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from engine.build import build_parts
from engine.encode import detach_for_recording, encode
from engine.interfaces import Losses
from engine.optimization import step_seed
from engine.pseudo_labels.ema import copy_weights
from lab.analysis.judge import build_judge
from lab.config import load_run_config
from lab.datasets.load import load_dataset
from lab.store.recorder import StoreRecorder
from lab.store.runs import attach_datasets, create_run
from lab.store.store import Store

EXPERIMENT = Path("experiments/shapes_demo_pl_dc.toml")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=120)
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    overrides = {
        "method.burn_in_steps": 0,
        "schedule.max_steps": steps,
        "method.dicc": False,
        "host.score_floor": 0.001,  # an untrained head is sure of nothing
        "host.max_detections": 50,
    }
    config = load_run_config(EXPERIMENT, overrides)
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
        data = load_dataset(config.dataset, Path(folder) / "datasets")
        parts = build_parts(config, data, Path(folder))
        copy_weights(parts.teacher.module, parts.student.module)
        run_id = create_run(store, config)
        attach_datasets(store, run_id, data.train, data.val)
        with StoreRecorder(store, run_id, judge=build_judge(data.train)) as recorder:
            calls: list[float] = []
            whole: dict[bool, list[float]] = {True: [], False: []}
            labels = 0
            for step, batch in enumerate(parts.batches(0)):
                began = time.perf_counter()
                torch.manual_seed(step_seed(config.seed, step))
                losses = parts.method.losses(batch, step)
                parts.optimizer.zero_grad()
                losses.total().backward()
                parts.optimizer.step()
                recorded = step % 2 == 1
                told = time.perf_counter()
                if recorded:
                    tell(recorder, step, losses)
                    calls.append(time.perf_counter() - told)
                    labels += sum(len(c.labels) for c in losses.candidates)
                whole[recorded].append(time.perf_counter() - began)
    quiet, loud = (statistics.median(whole[key]) for key in (False, True))
    call = statistics.median(calls)
    print(f"labels per recorded step {labels / max(1, len(calls)):.0f}")
    print(f"step, recorder that listens to nothing: median {1e3 * quiet:.1f} ms")
    print(f"step, recorded:                         median {1e3 * loud:.1f} ms")
    print(f"ratio of the medians {loud / quiet:.4f}")
    print(f"calls on the training thread: median {1e3 * call:.2f} ms = {100 * call / quiet:.2f} %")


def tell(recorder: StoreRecorder, step: int, losses: Losses) -> None:
    found = detach_for_recording(losses.candidates)
    recorder.pseudo_labels(step, lambda: encode(found, 0.0))
    scalars = losses.scalars()
    recorder.scalars(step, {name: float(value) for name, value in scalars.items()})


if __name__ == "__main__":
    main()
