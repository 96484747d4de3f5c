"""Values that may change while a run trains: which they are, and what a change must hold to.

A field says so itself: `class_threshold: Live[Fraction] = 0.7`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from lab.config.fields import ConfigError
from lab.config.reading import flatten, parse_run_config, with_overrides
from lab.config.run import RunConfig


@dataclass(frozen=True, slots=True)
class Change:
    """What a value was, and what it is from a step on."""

    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Ask:
    """A change that somebody asks a run to make now."""

    ask: int
    """Its number in the store."""
    values: Mapping[str, Any]
    """New values by dotted key."""
    author: str


@dataclass(frozen=True, slots=True)
class AppliedChange:
    """A change of a run while it trained: in effect from before step `step` on."""

    step: int
    changes: Mapping[str, Change]
    """By dotted key."""
    author: str
    ask: int | None = None
    """The number of the ask it answers."""

    @property
    def values(self) -> dict[str, Any]:
        """The new values by dotted key."""
        return {key: change.new for key, change in self.changes.items()}


def live_keys(config: RunConfig) -> list[str]:
    """Dotted keys of this run's config that may change while it trains."""
    return list(_live_keys(config, ""))


def full_key(config: RunConfig, key: str) -> str:
    """The dotted key that `key` is the end of: "mask_threshold" -> "method.mask_threshold"."""
    fitting = [one for one in live_keys(config) if one == key or one.endswith(f".{key}")]
    return fitting[0] if len(fitting) == 1 else key


def change_live(
    config: RunConfig, values: Mapping[str, Any], origin: str
) -> tuple[RunConfig, dict[str, Change]]:
    """The config with new values, and what really changed: the same value again changes nothing.

    Raises:
        ConfigError: a key that may not change while the run trains, or a value it cannot have.
    """
    known = flatten(config.model_dump(mode="json"))
    allowed = live_keys(config)
    for key in values:
        if key not in allowed:
            what = "cannot change while the run trains" if key in known else "unknown key"
            raise ConfigError(f"{origin}: {key}: {what}; what can: {', '.join(allowed) or 'none'}")
    changed = parse_run_config(with_overrides(config.model_dump(mode="json"), values), origin)
    new = flatten(changed.model_dump(mode="json"))
    return changed, {key: Change(known[key], new[key]) for key in values if known[key] != new[key]}


def _live_keys(model: BaseModel, prefix: str) -> Iterator[str]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        extra = field.json_schema_extra
        if isinstance(value, BaseModel):
            yield from _live_keys(value, f"{prefix}{name}.")
        elif isinstance(extra, Mapping) and extra.get("live"):
            yield f"{prefix}{name}"
