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

from app.launch import find_fork_point, start_run
from app.worker_slots import Watch, run_in_slots
from lab.config import RunConfig, SupervisedConfig, load_run_config
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
    watch: Callable[[Mapping[str, str]], Watch],
) -> list[str]:
    """Train the plan; return the ids of the continuations, the simplest first.

    Args:
        slots: how many runs train at the same time, one thread each.
        watch: shows progress; given the names of runs by id.

    Raises:
        DemoFailed: a run failed or was stopped.
    """
    first = start_run(store, plan.burn_in, command=command)
    _train(store, {first: plan.burn_in.name}, slots, watch)
    fork = find_fork_point(store, f"{first}@{plan.fork_step}")
    names = {
        start_run(store, config, command=command, fork=fork): config.name
        for config in plan.continuations
    }
    _train(store, names, slots, watch)
    *semi_supervised, supervised = names
    return [supervised, *semi_supervised]


def _burn_in_steps(config: RunConfig) -> int:
    """0 for a method without a teacher."""
    return 0 if isinstance(config.method, SupervisedConfig) else config.method.burn_in_steps


def _with_burn_in(shared: Mapping[str, Any], path: Path, fork_step: int) -> dict[str, Any]:
    has_teacher = _burn_in_steps(load_run_config(path)) > 0
    return dict(shared) | ({"method.burn_in_steps": fork_step} if has_teacher else {})


def _train(
    store: Store,
    names: Mapping[str, str],
    slots: int,
    watch: Callable[[Mapping[str, str]], Watch],
) -> None:
    with watch(names) as look:
        codes = run_in_slots(store, list(names), slots=slots, look=look)
    for run_id, code in codes.items():
        if code != 0:
            log = store.run_directory(run_id) / "output.txt"
            raise DemoFailed(f"{names[run_id]} ({run_id}) ended with exit code {code}: see {log}")
