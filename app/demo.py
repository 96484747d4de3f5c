"""The demo: one supervised burn-in, then three ways on from the same checkpoint, compared.

Sharing the burn-in is what makes minutes enough, and makes the comparison fair: the three runs
start from the same weights, see the same labelled images in the same order, and differ in what
they do with the unlabelled ones alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.sweep import Task, tasks_of, train_sweep
from app.sweep_plan import PlannedRun
from app.worker_slots import Watch
from lab.config import GuidedDistillationConfig, PlDcConfig, RunConfig, load_run_config
from lab.store.store import Store

EXPERIMENTS = Path(__file__).resolve().parent.parent / "experiments"
SUPERVISED = "shapes_demo.toml"
CONTINUATIONS = ("shapes_demo_guided_distillation.toml", "shapes_demo_pl_dc.toml", SUPERVISED)
"""The quickest last, so that two slots are busy to the end."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the demo trains."""

    burn_in: RunConfig
    continuations: tuple[RunConfig, ...]
    """Each goes on from the burn-in's last checkpoint."""

    @property
    def fork_step(self) -> int:
        return self.burn_in.schedule.max_steps

    def runs(self) -> list[PlannedRun]:
        """As a sweep over one seed, which goes on where it was interrupted."""
        return [
            PlannedRun(config.name, (), config.seed, config, self.burn_in)
            for config in self.continuations
        ]


class DemoFailed(RuntimeError):
    """A run of the demo did not finish; the message says where its log is."""


def plan_demo(
    directory: Path = EXPERIMENTS, *, burn_in: int | None = None, steps: int | None = None
) -> Plan:
    """Read the demo's experiments; `burn_in` and `steps` make it shorter or longer.

    Raises:
        ConfigError: the numbers do not fit together, or a file cannot be used.
    """
    first = load_run_config(directory / CONTINUATIONS[0])
    fork_step = burn_in or _burn_in_steps(first)
    shared: dict[str, Any] = {} if steps is None else {"schedule.max_steps": steps}
    only_burn_in = {
        "name": "demo: burn-in",
        "schedule.max_steps": fork_step,
        "schedule.cosine_end": steps or first.schedule.max_steps,
    }
    return Plan(
        burn_in=load_run_config(directory / SUPERVISED, shared | only_burn_in),
        continuations=tuple(
            load_run_config(directory / file, _with_burn_in(shared, directory / file, fork_step))
            for file in CONTINUATIONS
        ),
    )


def train_demo(
    store: Store,
    plan: Plan,
    *,
    slots: int,
    command: Sequence[str],
    watch: Callable[[Sequence[Task]], Watch],
) -> list[str]:
    """Train what the store does not have yet; return the ids of the continuations, simplest first.

    Args:
        slots: how many runs train at the same time, one thread each.
        watch: shows progress; given what there is to do.

    Raises:
        DemoFailed: a run failed.
        LaunchError: another process trains a run of the demo at the moment.
    """
    runs = plan.runs()
    with watch(tasks_of(store, runs)) as look:
        failures = train_sweep(store, runs, slots=slots, command=command, look=look)
    for failure in failures:
        raise DemoFailed(f"{failure.name} ({failure.run_id}): {failure.reason}: see {failure.log}")
    ids = [task.row.run_id for task in tasks_of(store, runs)[1:] if task.row is not None]
    *semi_supervised, supervised = ids
    return [supervised, *semi_supervised]


def _burn_in_steps(config: RunConfig) -> int:
    """0 for a method without a burn-in."""
    method = config.method
    return method.burn_in_steps if isinstance(method, PlDcConfig | GuidedDistillationConfig) else 0


def _with_burn_in(shared: Mapping[str, Any], path: Path, fork_step: int) -> dict[str, Any]:
    has_teacher = _burn_in_steps(load_run_config(path)) > 0
    return dict(shared) | ({"method.burn_in_steps": fork_step} if has_teacher else {})
