"""A sweep: a list of runs, times a grid of config keys, times seeds, as one TOML file."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from lab.config.fields import ConfigError, Count, Frozen, Positive
from lab.config.mistakes import explain
from lab.config.reading import flatten, read_toml

Plain = bool | int | float | str
GridValue = Plain | tuple[Plain, ...]
Point = tuple[tuple[str, GridValue], ...]
"""One value for each key of a grid, in the order of the file."""


def _dotted(value: object) -> object:
    """{"a": {"b": 1}} and {"a.b": 1} mean the same."""
    return flatten(value) if isinstance(value, dict) else value


Changes = Annotated[dict[str, Any], BeforeValidator(_dotted)]


class BurnInConfig(Frozen):
    """One run per seed and grid point that the others fork from, so that they share their past."""

    run: str
    """Name of the run whose config it has."""
    step: Positive
    """How many steps it trains: where the others start."""


class SweepEntry(Frozen):
    """One run of the list."""

    name: Annotated[str, Field(min_length=1)]
    config: Path | None = None
    """Its own run config; without one it has `base`. Relative to the sweep's file."""
    changes: Annotated[Changes, Field(alias="set", default_factory=dict)]
    """Dotted config keys that differ; they win over the grid."""
    fork: bool = True
    """Start from the burn-in, where there is one; false = train from nothing."""


class SweepConfig(Frozen):
    """The runs of a sweep are its list x its grid x its seeds."""

    name: str = ""
    """Begins the names of its runs; empty = the name of the file."""
    base: Path
    """The run config that every run starts from. Relative to the sweep's file."""
    seeds: Annotated[tuple[Annotated[Count, Field(strict=True)], ...], Field(min_length=1)] = (0,)
    seed_keys: Annotated[tuple[str, ...], Field(min_length=1)] = ("seed", "split.seed")
    """The config keys that a seed sets."""
    changes: Annotated[Changes, Field(alias="set", default_factory=dict)]
    """Dotted config keys that differ in every run; the grid wins over them."""
    burn_in: BurnInConfig | None = None
    runs: Annotated[tuple[SweepEntry, ...], Field(alias="run", min_length=1)]
    """The first one is what the others are compared with."""
    grid: Annotated[
        dict[str, tuple[GridValue, ...]], BeforeValidator(_dotted), Field(default_factory=dict)
    ]
    """Dotted config keys with the values each takes; all combinations are run."""

    @model_validator(mode="after")
    def _names_make_sense(self) -> SweepConfig:
        names = [entry.name for entry in self.runs]
        _refuse_twice("run name", names)
        _refuse_twice("seed", self.seeds)
        if self.burn_in is not None and self.burn_in.run not in names:
            raise ValueError(
                f"burn_in.run {self.burn_in.run!r} is none of the runs: {', '.join(names)}"
            )
        for key in {**self.changes, **self.grid}:
            if key in self.seed_keys:
                raise ValueError(f"{key} is what `seeds` sets; say there which it should be")
        for key, values in self.grid.items():
            if not values:
                raise ValueError(f"grid.{key} has no values")
            _refuse_twice(f"grid.{key}", values)
        return self

    def points(self) -> list[Point]:
        """Every combination of the grid's values; one empty point without a grid."""
        return [
            tuple(zip(self.grid, values, strict=True)) for values in product(*self.grid.values())
        ]


def load_sweep(path: Path) -> SweepConfig:
    """Read a sweep's TOML file; its relative paths are taken from where it lies.

    Raises:
        ConfigError: naming the file, the key and the value.
    """
    try:
        sweep = SweepConfig.model_validate(read_toml(path))
    except ValidationError as error:
        raise ConfigError(explain(error, str(path), SweepConfig)) from None
    runs = tuple(
        entry.model_copy(update={"config": entry.config and path.parent / entry.config})
        for entry in sweep.runs
    )
    return sweep.model_copy(
        update={"name": sweep.name or path.stem, "base": path.parent / sweep.base, "runs": runs}
    )


def _refuse_twice(what: str, values: tuple[Any, ...] | list[Any]) -> None:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"{what} {value!r} is there twice")
