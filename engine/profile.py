"""Where a training step's time and memory go: real steps of a run, watched from outside.

Some methods of the networks are replaced, on these objects alone, by ones that start and stop a
stopwatch, so that no paper and no network knows of it.
"""

from __future__ import annotations

import dataclasses
import resource
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.build import Parts
from engine.checkpoint import Checkpoint, CheckpointError
from engine.interfaces import Batch
from engine.methods.pl_dc import PlDc
from engine.pseudo_labels.fuse import CategoryCorrector
from engine.timing import Section, Stopwatch, Timer
from engine.trainer import Trainer
from lab.config import RunConfig, parse_run_config, with_overrides

WARM_UP = 3
"""Steps before those that count: memory is claimed, kernels are chosen, queues are filled."""
TEACHER_WORK = {"predict": Section.TEACHER, "propose": Section.TEACHER}
STUDENT_LOSSES = {"losses": Section.LOSSES, "teach_boxes": Section.LOSSES}
STUDENT_WORK = {"forward": Section.FORWARD, "match": Section.MATCHING}
"""What the student's losses call: the network itself, and where a host assigns queries."""


@dataclass(frozen=True)
class Share:
    """One part of a step."""

    section: str
    median_ms: float
    share: float
    """Of the time of all steps, in [0, 1]."""


@dataclass(frozen=True)
class Profile:
    """What the measured steps of a run took."""

    method: str
    host: str
    device: str
    threads: int
    steps: int
    step_ms: float
    """Median."""
    images_per_second: float
    """Labelled and unlabelled ones, each counted once, however many views it has."""
    sections: tuple[Share, ...]
    """Those that took any time, in the order of Section."""
    peak_rss_mb: float
    """Of the process, its libraries included."""
    peak_cuda_mb: float | None
    """Most memory of tensors on the GPU; None without one."""


def profiled_config(config: RunConfig, steps: int) -> RunConfig:
    """The same run, in its semi-supervised phase from the first step on, `steps` long.

    Warm-up steps come before, and one after, which is not measured because the run ends in it.
    Nothing is evaluated, probed or saved on the way.
    """
    length = WARM_UP + steps + 1
    changes: dict[str, Any] = {
        "schedule.max_steps": length,
        "schedule.eval_every": 0,
        "schedule.checkpoint_every": length + 1,
        "record.probe_images": 0,
    }
    for phase in ("burn_in_steps", "guided_steps", "distil_from"):
        if phase in type(config.method).model_fields:
            changes[f"method.{phase}"] = 0
    return parse_run_config(with_overrides(config.model_dump(), changes), config.name)


def load_student(parts: Parts, checkpoint: Checkpoint) -> None:
    """Raises CheckpointError when the checkpoint is of another network."""
    try:
        parts.student.module.load_state_dict(checkpoint.student)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointError(
            f"the checkpoint of step {checkpoint.step} does not fit this network: {reason}"
        ) from None


def watch_parts(parts: Parts, timer: Timer) -> Parts:
    """The same parts; from now on the timer hears what their networks do."""
    _watch(parts.teacher, timer, TEACHER_WORK)
    _watch(parts.student, timer, STUDENT_LOSSES)
    _watch(parts.student.module, timer, STUDENT_WORK)
    if not isinstance(parts.method, PlDc) or parts.method.corrector is None:
        return parts
    corrector = TimedCorrector(parts.method.corrector, timer)
    return dataclasses.replace(parts, method=dataclasses.replace(parts.method, corrector=corrector))


def watched_batches(
    batches: Callable[[int], Iterable[Batch]], stopwatch: Stopwatch
) -> Callable[[int], Iterator[Batch]]:
    """The same batches; asking for one begins a lap."""

    def watched(start: int) -> Iterator[Batch]:
        arriving = iter(batches(start))
        while True:
            stopwatch.lap()
            with stopwatch.section(Section.DATA):
                batch = next(arriving, None)
            if batch is None:
                return
            yield batch

    return watched


def profile(trainer: Trainer, stopwatch: Stopwatch) -> Profile:
    """Run a trainer of watched parts to its end and say what its steps took."""
    if trainer.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    trainer.run()
    schedule = trainer.config.schedule
    unlabeled = 0 if trainer.method.unlabeled_from is None else schedule.unlabeled_batch
    images = schedule.labeled_batch + unlabeled
    return summarize(stopwatch.laps()[WARM_UP:-1], images, trainer.config, trainer.device)


def summarize(
    laps: Sequence[Mapping[Section, float]], images: int, config: RunConfig, device: torch.device
) -> Profile:
    """Medians and shares of the seconds that each section took in each lap of `images` images."""
    times = [sum(lap.values()) for lap in laps]
    total = sum(times)
    shares = [
        Share(
            section=section.value,
            median_ms=1e3 * statistics.median(lap[section] for lap in laps),
            share=sum(lap[section] for lap in laps) / total,
        )
        for section in Section
        if any(lap[section] for lap in laps)
    ]
    step = statistics.median(times)
    on_gpu = device.type == "cuda"
    return Profile(
        method=config.method.name,
        host=f"{config.host.name} {config.host.preset}",
        device=torch.cuda.get_device_name(device) if on_gpu else "cpu",
        threads=torch.get_num_threads(),
        steps=len(laps),
        step_ms=1e3 * step,
        images_per_second=images / step,
        sections=tuple(shares),
        peak_rss_mb=peak_rss_mb(),
        peak_cuda_mb=torch.cuda.max_memory_allocated(device) / 2**20 if on_gpu else None,
    )


def peak_rss_mb() -> float:
    """Most memory that this process ever held, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


@dataclass(frozen=True)
class TimedCorrector:
    """A CategoryCorrector whose work is measured."""

    inner: CategoryCorrector
    timer: Timer

    def probabilities(self, images: Tensor, masks: Sequence[Tensor]) -> Tensor:
        with self.timer.section(Section.CLIP):
            return self.inner.probabilities(images, masks)


def _watch(watched: object, timer: Timer, sections: Mapping[str, Section]) -> None:
    """From now on, calls of these methods of this one object are measured; missing ones are not."""
    for name, section in sections.items():
        inner = getattr(watched, name, None)
        if inner is not None:
            setattr(watched, name, _timed(inner, timer, section))


def _timed(inner: Callable[..., Any], timer: Timer, section: Section) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        with timer.section(section):
            return inner(*args, **kwargs)

    return timed
