"""TOML files and overrides -> a RunConfig, or an error that names file, key and value."""

from __future__ import annotations

import copy
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lab.config.fields import ConfigError
from lab.config.mistakes import TAGS, explain, mistakes
from lab.config.run import RunConfig

FOREIGN = "own"
"""Key of what other training code says of its run, which has no config of ours."""
ANCHORED = {"dataset": ("_json", "_images", "_depth"), "method.clip": ("descriptions",)}
"""Table -> endings of its keys that name files, relative to the file that names them."""


def load_run_config(
    path: Path, overrides: Mapping[str, Any] | None = None, *, given_by: str = "-o"
) -> RunConfig:
    """Read a TOML file, its `extends` first, then dotted overrides such as {"schedule.seed": 1}.

    Relative paths of data and descriptions are taken from the file that names them. Errors say
    that the overrides were `given_by` something.

    Raises:
        ConfigError: naming the file, the key and the value.
    """
    tree = with_overrides(_read_tree(path, seen=()), overrides or {})
    if not tree:
        raise ConfigError(f"{path}: is empty: say at least which dataset and which method")
    return parse_run_config(tree, origin=f"{path} with {given_by}" if overrides else str(path))


def with_overrides(tree: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a nested config in which dotted keys such as "schedule.seed" have new values.

    Another `name` or `source` empties its table first: the old one's keys mean nothing there.

    Raises:
        ConfigError: a dotted key goes through something that is not a table.
    """
    changed = copy.deepcopy(dict(tree))
    for key, value in sorted(overrides.items(), key=lambda item: not _is_tag(item[0])):
        _set_dotted(changed, key, value)
    return changed


def _is_tag(key: str) -> bool:
    """Whether a dotted key says which kind of table it is in; these are set first."""
    return key.count(".") > 0 and key.rpartition(".")[2] in TAGS


def parse_run_config(tree: Mapping[str, Any], origin: str = "config") -> RunConfig:
    """Validate a nested mapping; errors name `origin`, the dotted key and the value."""
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(explain(error, origin, RunConfig), mistakes(error, RunConfig)) from None


def parse_stored_config(tree: Mapping[str, Any], run_id: str) -> RunConfig:
    """As `parse_run_config`, of what a store holds of a run.

    Raises:
        ConfigError: other training code recorded it, or another version of seglab.
    """
    if FOREIGN in tree:
        raise ConfigError(
            f"run {run_id}: other training code recorded it (lab.open_run), and only that can "
            "train it"
        )
    return parse_run_config(tree, f"config of run {run_id}")


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}: the form in which configs are compared."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = value
    return flat


def parse_override(text: str) -> tuple[str, Any]:
    """Split "schedule.max_steps=100" into key and value. The value is TOML, else a string."""
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"override {text!r}: expected key=value, such as seed=1")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; ConfigError when it cannot be read or is none."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def _read_tree(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    path = path.resolve()
    if path in seen:
        raise ConfigError(f"{path}: extends itself by way of {seen[-1]}")
    tree = read_toml(path)
    _anchor_paths(tree, path.parent)
    parent = tree.pop("extends", None)
    if parent is None:
        return tree
    if not isinstance(parent, str):
        raise ConfigError(f"{path}: extends = {parent!r}: expected the name of a file")
    return _merge(_read_tree(path.parent / parent, (*seen, path)), tree)


def _anchor_paths(tree: dict[str, Any], directory: Path) -> None:
    for table, endings in ANCHORED.items():
        found = _table_at(tree, table)
        for key, value in found.items():
            if key.endswith(endings) and isinstance(value, str):
                found[key] = os.path.normpath(directory / Path(value).expanduser())


def _table_at(tree: dict[str, Any], dotted: str) -> dict[str, Any]:
    """The table at a dotted key; an empty one where there is none."""
    for key in dotted.split("."):
        tree = tree.get(key, {})
        if not isinstance(tree, dict):
            return {}
    return tree


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` wins; tables merge, except that another `name` or `source` replaces the table."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            replaces = any(tag in value and value[tag] != old.get(tag) for tag in TAGS)
            merged[key] = dict(value) if replaces else _merge(old, value)
        else:
            merged[key] = value
    return merged


def _set_dotted(tree: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"override {key}: {parent} is a value, not a table")
    if parents and last in TAGS and tree.get(last, value) != value:
        tree.clear()
    tree[last] = value
