"""A sweep file -> the runs it means: every one a complete config, and what it is forked from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.config import ConfigError, RunConfig, flatten, load_run_config
from lab.config.sweep import BurnInConfig, Point, SweepConfig, SweepEntry

SHARED = ("seed", "dataset", "split", "host")
"""What a run and the burn-in it forks from must have in common."""
LONG = 2**31 - 1


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run of a sweep: an entry of its list, at a point of its grid, with one seed."""

    entry: str
    point: Point
    seed: int
    config: RunConfig
    burn_in: RunConfig | None
    """It forks from a run with this config, at that run's last step; None = from nothing."""

    @property
    def first_step(self) -> int:
        return 0 if self.burn_in is None else self.burn_in.schedule.max_steps


def plan_sweep(
    sweep: SweepConfig,
    *,
    seeds: Sequence[int] | None = None,
    only: Collection[str] = (),
    changes: Mapping[str, Any] | None = None,
) -> list[PlannedRun]:
    """All runs, seed by seed, so that a sweep that is half done has whole comparisons.

    Args:
        seeds: instead of the file's.
        only: names of runs; empty = all.
        changes: dotted keys that win over everything but the seed.

    Raises:
        ConfigError: naming the run and what is wrong with its config.
    """
    known = [entry.name for entry in sweep.runs]
    for name in only:
        if name not in known:
            raise ConfigError(f"no run {name!r}; it has: {', '.join(known)}")
    runs = [
        _plan_run(sweep, entry, point, seed, changes or {})
        for seed in seeds or sweep.seeds
        for point in sweep.points()
        for entry in sweep.runs
    ]
    _refuse_equal_entries(runs)
    return [run for run in runs if not only or run.entry in only]


def identity(config: RunConfig) -> str:
    """Equal for configs that train the same, whatever they are called."""
    return config.model_copy(update={"name": ""}).model_dump_json()


def describe_point(point: Point) -> str:
    """(("split.labeled_fraction", 0.1),) -> "labeled_fraction 0.1"."""
    return ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in point)


def _plan_run(
    sweep: SweepConfig, entry: SweepEntry, point: Point, seed: int, changes: Mapping[str, Any]
) -> PlannedRun:
    forked = sweep.burn_in if entry.fork else None
    config = _config_of(sweep, entry, point, seed, changes, forked)
    if forked is None:
        return PlannedRun(entry.name, point, seed, config, None)
    burn_in = _burn_in_of(sweep, forked, point, seed, changes)
    _check_fork(entry.name, config, burn_in)
    return PlannedRun(entry.name, point, seed, config, burn_in)


def _config_of(
    sweep: SweepConfig,
    entry: SweepEntry,
    point: Point,
    seed: int,
    changes: Mapping[str, Any],
    forked: BurnInConfig | None,
) -> RunConfig:
    path = entry.config or sweep.base
    where = f"run {entry.name!r}"
    given = {**sweep.changes, **dict(point), **entry.changes, **changes}
    if forked is not None and _has_teacher(path, given, where):
        given = {"method.burn_in_steps": forked.step} | given
    name = {"name": _run_name(sweep.name, entry.name, point, seed)}
    return _load(path, given | dict.fromkeys(sweep.seed_keys, seed) | name, where)


def _has_teacher(path: Path, given: Mapping[str, Any], where: str) -> bool:
    """Whether the run's method knows a burn-in; any length will do to find out."""
    method = _load(path, {**given, "schedule.max_steps": LONG}, where).method
    return "burn_in_steps" in type(method).model_fields


def _burn_in_of(
    sweep: SweepConfig, burn_in: BurnInConfig, point: Point, seed: int, changes: Mapping[str, Any]
) -> RunConfig:
    """Its entry, cut at its step, on the learning rate curve of the whole length."""
    entry = next(one for one in sweep.runs if one.name == burn_in.run)
    whole = _config_of(sweep, entry, point, seed, changes, None)
    if burn_in.step >= whole.schedule.max_steps:
        raise ConfigError(
            f"burn_in.step {burn_in.step} leaves no step of "
            f"schedule.max_steps {whole.schedule.max_steps} of run {entry.name!r}"
        )
    end = whole.schedule.cosine_end or whole.schedule.max_steps
    cut = {"max_steps": burn_in.step, "cosine_end": end}
    name = _run_name(sweep.name, "burn-in", point, seed)
    schedule = whole.schedule.model_copy(update=cut)
    return whole.model_copy(update={"schedule": schedule, "name": name})


def _check_fork(entry: str, config: RunConfig, burn_in: RunConfig) -> None:
    mine, theirs = (flatten(one.model_dump(mode="json")) for one in (config, burn_in))
    for key, value in mine.items():
        if key.split(".")[0] in SHARED and value != theirs.get(key):
            raise ConfigError(
                f"run {entry!r}: {key} = {value!r}, but the burn-in it forks from "
                f"has {theirs.get(key)!r}; fork = false trains it from nothing"
            )
    step = burn_in.schedule.max_steps
    if config.schedule.max_steps <= step:
        raise ConfigError(
            f"run {entry!r}: schedule.max_steps = {config.schedule.max_steps} "
            f"leaves no step after the burn-in's {step}"
        )
    starts = getattr(config.method, "burn_in_steps", step)
    if starts < step:
        raise ConfigError(
            f"run {entry!r}: method.burn_in_steps = {starts} is before the "
            f"burn-in's last step {step}"
        )


def _refuse_equal_entries(runs: Sequence[PlannedRun]) -> None:
    """One entry may be the same at several points of the grid; two entries must differ."""
    seen: dict[tuple[str, str | None], str] = {}
    for run in runs:
        burn_in = None if run.burn_in is None else identity(run.burn_in)
        other = seen.setdefault((identity(run.config), burn_in), run.entry)
        if other != run.entry:
            raise ConfigError(
                f"{run.config.name}: its config is that of {other!r}: nothing tells them apart"
            )


def _run_name(sweep: str, entry: str, point: Point, seed: int) -> str:
    return f"{sweep}: " + ", ".join(filter(None, (entry, describe_point(point), f"seed {seed}")))


def _load(path: Path, changes: Mapping[str, Any], where: str) -> RunConfig:
    try:
        return load_run_config(path, changes, given_by="the sweep's values")
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
