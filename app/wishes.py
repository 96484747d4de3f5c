"""A run that somebody wishes for: what it starts from, and what is to be different.

One answer for everybody who asks before launching: the config it comes to, what that changes,
what is wrong with it, what it will cost, and the command that would do the same.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import orjson

from app.config_form import table_keys
from app.launch import ForkPoint, LaunchError, config_of_fork, differences, find_fork_point
from app.presets import find_preset
from lab.config import (
    ConfigError,
    Mistake,
    RunConfig,
    flatten,
    load_run_config,
    parse_run_config,
    with_overrides,
)
from lab.datasets.coco import DatasetError
from lab.datasets.sizes import dataset_size
from lab.jobs.devices import need_of
from lab.store.asks import config_at
from lab.store.estimate import estimate_run
from lab.store.queries import RunRow, get_run, list_runs
from lab.store.store import Store

EVERYTHING = "(whole file)"


@dataclass(frozen=True, slots=True)
class Wish:
    """Exactly one of `preset`, `run` and `fork`, and changes by dotted key."""

    changes: Mapping[str, Any]
    preset: str | None = None
    """A file of experiments/ by name."""
    run: str | None = None
    """A run whose values it has, from nothing."""
    fork: str | None = None
    """ "RUN@STEP": goes on from that checkpoint."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What a wish comes to."""

    base: RunConfig
    """Without the changes."""
    config: RunConfig
    point: ForkPoint | None
    like: RunRow | None
    command: tuple[str, ...]
    """That queues the same."""


def grant(store: Store | None, wish: Wish) -> Granted:
    """Make the config; `store` may be absent as long as no run of it is named.

    Raises:
        ConfigError: a preset or a value that cannot be; `mistakes` says which.
        LaunchError: no such checkpoint, or nothing left to train.
        StoreError: no such run.
    """
    if wish.preset is not None:
        path = find_preset(wish.preset).path
        base, config = load_run_config(path), load_run_config(path, wish.changes)
        need_of(config)
        return Granted(base, config, None, None, _command([str(path)], wish.changes))
    if store is None:
        raise LaunchError("there is no store yet, hence no run to start from")
    if wish.fork is not None:
        return _fork(store, wish.fork, wish.changes)
    like = get_run(store, wish.run or "")
    base = config_at(store, like.run_id)
    tree = with_overrides(base.model_dump(mode="json"), wish.changes)
    config = parse_run_config(tree, f"config of run {like.run_id}")
    need_of(config)
    return Granted(base, config, None, like, _command(["--like", like.run_id], wish.changes))


def _fork(store: Store, at: str, changes: Mapping[str, Any]) -> Granted:
    point = find_fork_point(store, at)
    base, config = config_of_fork(store, point, {}), config_of_fork(store, point, changes)
    need_of(config)
    if point.step >= config.schedule.max_steps:
        raise LaunchError(
            f"the fork starts at step {point.step}, but schedule.max_steps is "
            f"{config.schedule.max_steps}: nothing is left to train"
        )
    where = f"{point.run.run_id}@{point.step}"
    return Granted(base, config, point, None, _command(["--fork", where], changes))


def _command(start: Sequence[str], changes: Mapping[str, Any]) -> tuple[str, ...]:
    told = [part for key, value in changes.items() for part in ("-o", f"{key}={_toml(value)}")]
    return ("seglab", "queue", *start, *told)


def _toml(value: object) -> str:
    """A value as an override writes it; JSON's scalars and lists are TOML's."""
    return value if isinstance(value, str) and value else orjson.dumps(value).decode()


def foretell(root: Path, store: Store | None, granted: Granted) -> dict[str, Any]:
    """What the page shows of a wish that can be granted, before anybody confirms it."""
    config = granted.config
    size, warnings = _size(root, config)
    return {
        "config": flat(config),
        "base": flat(granted.base),
        "differences": differences(granted.base, config),
        "problems": [],
        "warnings": warnings,
        "size": size,
        "time": None if store is None else _time(list_runs(store), granted),
        "command": shlex.join(granted.command),
    }


def flat(config: RunConfig) -> dict[str, Any]:
    """By dotted key, as JSON has it; a value that is itself a table stays one value."""
    tree = config.model_dump(mode="json")
    values = flatten(tree)
    for key in table_keys():
        table: Any = tree
        for name in key.split("."):
            table = table.get(name) if isinstance(table, dict) else None
        if isinstance(table, dict):
            values = {one: v for one, v in values.items() if not one.startswith(f"{key}.")}
            values[key] = table
    return values


def _size(root: Path, config: RunConfig) -> tuple[dict[str, int] | None, list[str]]:
    """Bytes by kind with their sum and what is free, and what to think of before launching."""
    try:
        estimate = estimate_run(config, dataset_size(config.dataset))
    except DatasetError as error:
        return None, [f"The run would fail on this machine: {error}"]
    free = shutil.disk_usage(root if root.exists() else Path.cwd()).free
    kinds = ("scores", "masks", "curves", "checkpoints", "predictions", "dataset")
    size = {kind: getattr(estimate, kind) for kind in kinds}
    full = estimate.total > free
    advice = "The disk has no room for it: record less (record.every, record.keep), or make room."
    return size | {"total": estimate.total, "free": free}, [advice] if full else []


def _time(rows: Sequence[RunRow], granted: Granted) -> dict[str, Any] | None:
    """Seconds to train, by the pace of the newest run that works alike; else None."""
    config = granted.config
    first = granted.point.step if granted.point is not None else 0
    timed = [row for row in rows if isfinite(row.seconds_per_step) and is_alike(row, config)]
    if not timed:
        return None
    newest = max(timed, key=lambda row: row.created)
    pace = newest.seconds_per_step * work(flat(config)) / work(flatten(newest.config))
    seconds = pace * (config.schedule.max_steps - first)
    return {"seconds": seconds, "run_id": newest.run_id, "name": newest.name}


def is_alike(row: RunRow, config: RunConfig) -> bool:
    """Whether a step of the run says how long a step of the config takes, but for its pixels."""
    other, mine = flatten(row.config), flat(config)
    same = ("method.name", "host.name", "host.preset", "host.width", "schedule.processes")
    return all(other.get(key) == mine.get(key) for key in same)


def work(config: Mapping[str, Any]) -> float:
    """Pixels that a step reads: of two configs alike, the more of them the longer it takes."""
    images = config["schedule.labeled_batch"] + config["schedule.unlabeled_batch"]
    return float(images * config["view.crop_size"] ** 2)


def problems_of(error: ConfigError | LaunchError) -> list[dict[str, Any]]:
    """Each mistake with its reason and the keys to show it beside; no key = the whole form."""
    found = error.mistakes if isinstance(error, ConfigError) else ()
    told = found or (Mistake(EVERYTHING, None, str(error)),)
    return [
        {"key": one.key, "reason": one.reason.removeprefix("Value error, "), "about": _about(one)}
        for one in told
    ]


def _about(mistake: Mistake) -> list[str]:
    """The key, or the dotted keys that a reason names where a whole table is to blame."""
    known = {key.partition(".")[0] for key in RunConfig.model_fields}
    names = re.findall(r"\b([a-z_]+(?:\.[a-z_]+)+)\b", mistake.reason)
    named = [name for name in names if name.partition(".")[0] in known]
    if mistake.key == EVERYTHING:
        return list(dict.fromkeys(named))
    return list(dict.fromkeys([mistake.key, *named]))
