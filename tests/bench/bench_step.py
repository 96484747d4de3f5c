"""What a training step costs: three methods beside each other, and one of them recorded.

    python -m tests.bench.bench_step [--steps 20]

Every contender does a step in turn, in one process with one thread, so that a busy machine slows
all of them alike. Labelled and unlabelled images are 1:1. Reported are medians of the training
thread's CPU time and of wall time, and the median ratio to the supervised step of the same turn.
An untrained head is sure of nothing, so everything it finds is kept: more than in real training.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import nn

from engine.build import Parts, build_parts
from engine.encode import detach_for_recording, encode
from engine.interfaces import Batch, Losses
from engine.optimization import step_seed
from engine.profile import profiled_config
from engine.pseudo_labels.ema import copy_weights, update_ema
from engine.recorder import NullRecorder, Recorder
from lab.analysis.judge import build_judge
from lab.config import RunConfig, load_run_config
from lab.datasets.load import LoadedData, load_dataset
from lab.store.recorder import StoreRecorder
from lab.store.runs import attach_datasets, create_run
from lab.store.store import Store

EXPERIMENTS = Path("experiments")
TARGET = 2.5
"""PL-DC's whole step is to cost at most so many supervised ones."""
WARM_UP = 3
FINDS_SOMETHING = {
    "host.score_floor": 0.001,
    "host.max_detections": 12,
    "method.class_threshold": 0.0,
}


@dataclass
class Contender:
    """A run that does one step when told."""

    name: str
    parts: Parts
    recorder: Recorder
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        copy_weights(self.parts.teacher.module, self.parts.student.module)
        self.batches: Iterator[Batch] = iter(self.parts.batches(0))

    def step(self, number: int) -> None:
        """One whole step, its batch included, as engine.trainer does it."""
        cpu, wall = time.thread_time(), time.perf_counter()
        batch = next(self.batches)
        torch.manual_seed(step_seed(self.parts.config.seed, number))
        update_ema(self.parts.teacher.module, self.parts.student.module, 0.99)
        losses = self.parts.method.losses(batch, number)
        self.parts.optimizer.zero_grad(set_to_none=True)
        losses.total().backward()
        nn.utils.clip_grad_norm_(self.parts.student.module.parameters(), 5.0, foreach=True)
        self.parts.optimizer.step()
        tell(self.recorder, number, losses)
        self.cpu.append(time.thread_time() - cpu)
        self.wall.append(time.perf_counter() - wall)
        self.labels.append(sum(int(one.kept.sum()) for one in losses.candidates))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
        config = config_of("shapes_demo", steps)
        data = load_dataset(config.dataset, Path(folder) / "datasets")
        with store_recorder(store, data) as recorder:
            contenders = contend(steps, data, recorder)
    report(contenders)


def contend(steps: int, data: LoadedData, recorder: Recorder) -> list[Contender]:
    """Let all do their steps in turn, each turn beginning with another."""
    names = ("", "_guided_distillation", "_pl_dc")
    parts = [build_parts(config_of(f"shapes_demo{n}", steps), data, Path()) for n in names]
    recorded = build_parts(parts[-1].config, data, Path())
    contenders = [Contender(p.config.method.name, p, NullRecorder()) for p in parts]
    contenders.append(Contender("pl_dc, recorded", recorded, recorder))
    for number in range(WARM_UP + steps):
        first = number % len(contenders)
        for contender in contenders[first:] + contenders[:first]:
            contender.step(number)
    return contenders


def config_of(name: str, steps: int) -> RunConfig:
    path = EXPERIMENTS / f"{name}.toml"
    changes: dict[str, Any] = dict(FINDS_SOMETHING)
    method = load_run_config(path).method.name
    if method == "supervised":
        del changes["method.class_threshold"]
    if method == "pl_dc":
        changes["method.mask_threshold"] = 0.0
    return profiled_config(load_run_config(path, changes), steps)


def store_recorder(store: Store, data: LoadedData) -> StoreRecorder:
    run_id = create_run(store, config_of("shapes_demo_pl_dc", 1))
    attach_datasets(store, run_id, data.train, data.val)
    return StoreRecorder(store, run_id, judge=build_judge(data.train))


def tell(recorder: Recorder, step: int, losses: Losses) -> None:
    """What a trainer says of a step; a recorder that listens to nothing is told nothing."""
    if isinstance(recorder, NullRecorder):
        return
    found = detach_for_recording(losses.candidates)
    recorder.pseudo_labels(step, lambda: encode(found, 0.0))
    recorder.scalars(step, {name: float(value) for name, value in losses.scalars().items()})


def report(contenders: list[Contender]) -> None:
    first = contenders[0]
    print(f"{'step of':20} {'CPU ms':>8} {'ratio':>6} {'wall ms':>8} {'ratio':>6} {'labels':>7}")
    for one in contenders:
        cpu, wall = (1e3 * statistics.median(t[WARM_UP:]) for t in (one.cpu, one.wall))
        by_cpu, by_wall = ratio(one.cpu, first.cpu), ratio(one.wall, first.wall)
        labels = statistics.mean(one.labels[WARM_UP:])
        print(f"{one.name:20} {cpu:8.1f} {by_cpu:6.2f} {wall:8.1f} {by_wall:6.2f} {labels:7.1f}")
    silent, recorded = contenders[-2:]
    print(f"PL-DC / supervised {ratio(silent.cpu, first.cpu):.2f}, target <= {TARGET}")
    print(
        f"recorded / not, CPU of the training thread {ratio(recorded.cpu, silent.cpu):.3f}, "
        f"wall {ratio(recorded.wall, silent.wall):.3f}"
    )


def ratio(mine: list[float], other: list[float]) -> float:
    """Median over the turns."""
    pairs = zip(mine[WARM_UP:], other[WARM_UP:], strict=True)
    return statistics.median(a / b for a, b in pairs)


if __name__ == "__main__":
    main()
