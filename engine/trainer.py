"""The loop: batch -> method -> backward -> teacher -> recorder. No paper lives here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from engine import ranks
from engine.checkpoint import (
    Checkpoint,
    CheckpointError,
    checkpoint_path,
    joint_memory,
    list_checkpoints,
    on_host,
    own_memory,
    save_checkpoint,
)
from engine.encode import detach_for_recording, encode
from engine.interfaces import Batch, Candidates, Losses, Method, RemembersState, Segmenter
from engine.live import LiveChanges, with_config
from engine.optimization import autocast, learning_rate, set_learning_rate, step_seed
from engine.progress import StepProgress
from engine.pseudo_labels.ema import copy_weights, update_ema
from engine.recorder import Recorder
from engine.timing import NoTimer, Section, Timer
from lab.config import RunConfig


class TrainingDiverged(RuntimeError):
    """A loss is not a number any more."""


@dataclass
class Trainer:
    """One run's moving parts. `evaluate` and `probe` are called with the number of steps done.

    Of several ranks each has a trainer; they take the same steps, and the first writes checkpoints.
    """

    config: RunConfig
    student: Segmenter
    teacher: Segmenter
    method: Method
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    recorder: Recorder
    device: torch.device
    directory: Path
    """Of the checkpoints."""
    batches: Callable[[int], Iterable[Batch]]
    """The batches from a step on."""
    initial_weights: Callable[[], Mapping[str, Tensor]]
    evaluate: Callable[[int], float]
    probe: Callable[[int, Method], list[Candidates]]
    timer: Timer = field(default_factory=NoTimer)
    changes: LiveChanges = field(default_factory=LiveChanges)
    step: int = 0
    stop_requested: bool = False
    pending: Pending | None = field(default=None, init=False)

    def run(self) -> Literal["finished", "stopped"]:
        """Train from `step` to the end, or until `stop_requested`, which leaves a checkpoint."""
        schedule = self.config.schedule
        title = f"{self.config.name} ({self.config.method.name})"
        note = ""
        shown = ranks.is_first()
        with StepProgress(title, schedule.max_steps, self.step, shown=shown) as progress:
            if self.step == 0:
                self._look(0)
            for batch in self.batches(self.step):
                started = time.perf_counter()
                self._change()
                losses = self._train_step(batch, self.step)
                with self.timer.section(Section.RECORDING):
                    self._record(self.step, losses, started)
                self.step += 1
                if self._due(schedule.eval_every) or self.step == schedule.max_steps:
                    note = f"AP {self.evaluate(self.step):.1f}"
                self._look(self.step)
                stopping = ranks.anywhere(self.stop_requested) and not self._last()
                if stopping or self._due(schedule.checkpoint_every) or self._last():
                    self.save()
                progress.update(self.step, note)
                if stopping:
                    return "stopped"
        return "finished"

    def save(self) -> None:
        """Checkpoint the state after `step` steps and remove all but the newest few."""
        self._emit_pending()
        memory = ranks.to_first(remembered(self.method))
        if ranks.is_first():
            self._write_checkpoint(joint_memory(memory))

    def _write_checkpoint(self, memory: Mapping[str, object]) -> None:
        self.recorder.flush()  # rows first: a checkpoint promises that its past is recorded
        path = checkpoint_path(self.directory, self.step)
        save_checkpoint(
            path,
            Checkpoint(
                step=self.step,
                student=self.student.module.state_dict(),
                teacher=self.teacher.module.state_dict(),
                optimizer=self.optimizer.state_dict(),
                scaler=self.scaler.state_dict(),
                rng=torch.get_rng_state(),
                method=memory,
            ),
        )
        self.recorder.checkpoint(self.step, path)
        self.recorder.flush()  # the store knows the new one before the old ones go
        for stale in list_checkpoints(self.directory)[: -self.config.schedule.keep_checkpoints]:
            stale.unlink(missing_ok=True)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue after `checkpoint.step` steps as if never stopped."""
        load_network(self.student.module, checkpoint.student, checkpoint.step)
        load_network(self.teacher.module, checkpoint.teacher, checkpoint.step)
        self.optimizer.load_state_dict(dict(checkpoint.optimizer))
        self.scaler.load_state_dict(dict(checkpoint.scaler))
        torch.set_rng_state(checkpoint.rng.cpu())
        memory = own_memory(checkpoint.method, ranks.share().rank)
        if isinstance(self.method, RemembersState) and _is_memory_of(self.method, memory):
            self.method.load_state_dict(memory)
        self.step = checkpoint.step

    def _change(self) -> None:
        """Take over what was changed live, before the step sees it."""
        config = self.changes.before(self.step, self.config, self.recorder)
        if config is not self.config:
            self.config = config
            self.method = with_config(self.method, config)

    def _train_step(self, batch: Batch, step: int) -> Losses:
        torch.manual_seed(step_seed(self.config.seed, step))
        with self.timer.section(Section.EMA):
            self._move_teacher(step)
        rate = learning_rate(step, self.config.schedule)
        set_learning_rate(self.optimizer, rate)
        with self.timer.section(Section.METHOD), autocast(self.config.schedule, self.device):
            losses = self.method.losses(batch, step)
        with self.timer.section(Section.BACKWARD):
            self.optimizer.zero_grad(set_to_none=True)
            self.scaler.scale(losses.total()).backward()
            ranks.average_gradients(self.student.module.parameters())
        with self.timer.section(Section.OPTIMIZER):
            norm = self._descend()
        losses.stats.update({"lr": rate, "grad/norm": norm})
        return losses

    def _descend(self) -> Tensor:
        """Clip the gradients and follow them; their norm before that, ()."""
        self.scaler.unscale_(self.optimizer)
        limit = self.config.schedule.clip_norm or float("inf")
        norm = nn.utils.clip_grad_norm_(self.student.module.parameters(), limit, foreach=True)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return norm.detach()

    def _move_teacher(self, step: int) -> None:
        """Teacher first, then a restarted student, then the step: the order of methods.md 8."""
        decay = self.method.teacher_decay(step)
        if decay == 0:
            copy_weights(self.teacher.module, self.student.module)
        elif decay is not None:
            update_ema(self.teacher.module, self.student.module, decay)
        if self.method.student_restarts(step):
            self.student.module.load_state_dict(self.initial_weights())
            self.optimizer.state.clear()

    def _record(self, step: int, losses: Losses, started: float) -> None:
        record = self.config.record
        if losses.candidates and step % record.every == 0:
            detached = detach_for_recording(losses.candidates)
            self.recorder.pseudo_labels(step, partial(encode, detached, record.min_class_quality))
        self._emit_pending()
        if step % record.scalars_every == 0:
            self.pending = Pending.of(step, losses.scalars(), started)

    def _emit_pending(self) -> None:
        """Tell the last step's scalars: one step late, so that CUDA is never waited for."""
        if self.pending is None:
            return
        values = ranks.averaged(self.pending.values())
        self.recorder.scalars(self.pending.step, values)
        if values["loss/total"] - values["loss/total"] != 0:
            terms = {name: value for name, value in values.items() if name.startswith("loss/")}
            raise TrainingDiverged(f"step {self.pending.step}: loss is not finite: {terms}")
        self.pending = None

    def _look(self, done: int) -> None:
        """Predict the probe images: the time-lapse."""
        every = self.config.record.probe_every
        if done % every == 0 or done == self.config.schedule.max_steps:
            found = detach_for_recording(self.probe(done, self.method))
            if ranks.anywhere(bool(found)):
                floor = self.config.record.min_class_quality
                self.recorder.pseudo_labels(done, partial(encode, found, floor))

    def _due(self, every: int) -> bool:
        return every > 0 and self.step % every == 0

    def _last(self) -> bool:
        return self.step == self.config.schedule.max_steps


def remembered(method: Method) -> Mapping[str, object]:
    """What has to be in a checkpoint besides weights; empty for most methods. On the host."""
    return on_host(method.state_dict()) if isinstance(method, RemembersState) else {}


@dataclass(frozen=True)
class Pending:
    """Scalars of a step on their way from the device."""

    step: int
    names: tuple[str, ...]
    numbers: dict[str, float]
    tensor: Tensor
    copied: torch.cuda.Event | None

    @classmethod
    def of(cls, step: int, scalars: Mapping[str, Tensor | float], started: float) -> Pending:
        tensors = {n: v for n, v in scalars.items() if isinstance(v, Tensor)}
        numbers = {n: float(v) for n, v in scalars.items() if not isinstance(v, Tensor)}
        stacked = torch.stack([t.detach().float() for t in tensors.values()])
        copied = None
        if stacked.is_cuda:
            stacked = stacked.to("cpu", non_blocking=True)
            copied = torch.cuda.Event()
            copied.record()
        numbers["time/step"] = time.perf_counter() - started
        return cls(step, tuple(tensors), numbers, stacked, copied)

    def values(self) -> dict[str, float]:
        if self.copied is not None:
            self.copied.synchronize()
        return self.numbers | dict(zip(self.names, self.tensor.tolist(), strict=True))


def load_network(network: nn.Module, weights: Mapping[str, Tensor], step: int) -> None:
    """Take over the weights of a checkpoint.

    Raises:
        CheckpointError: they are of another network, as after a fork that changes it.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        first = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"checkpoint of step {step}: its weights are of another network than host.* and "
            f"method.* describe; a fork keeps its parent's network ({first} ...)"
        ) from None


def _is_memory_of(method: RemembersState, memory: Mapping[str, Any]) -> bool:
    """A fork may have another method than its parent: it begins without memory."""
    return memory.keys() == method.state_dict().keys()
