"""Presets: the run configs that lie in `experiments/`, each with the line that says why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.config import ConfigError
from lab.config.reading import read_toml

SHIPPED = Path(__file__).resolve().parent.parent / "experiments"
OF_A_SWEEP = frozenset({"run", "base"})
"""Keys of a file that lists runs instead of being one."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A file that can be launched."""

    name: str
    """Without its ending; what one chooses by."""
    about: str
    """Its first line, a comment; empty when it has none."""
    path: Path


def find_presets(directories: tuple[Path, ...] = ()) -> list[Preset]:
    """All of them by name. A file in ./experiments comes before one of the package."""
    found: dict[str, Preset] = {}
    for path in _files(directories):
        if path.stem not in found and not _lists_runs(path):
            found[path.stem] = Preset(path.stem, _first_line(path), path)
    return sorted(found.values(), key=lambda one: one.name)


def find_preset(name: str, directories: tuple[Path, ...] = ()) -> Preset:
    """The preset of that name; names are looked up, never made into paths.

    Raises:
        ConfigError: there is none.
    """
    for path in _files(directories):
        if path.stem == name:
            return Preset(name, _first_line(path), path)
    raise ConfigError(f"preset {name!r}: there is no such file in experiments/")


def _files(directories: tuple[Path, ...]) -> Iterator[Path]:
    for directory in directories or (Path.cwd() / "experiments", SHIPPED):
        yield from sorted(directory.glob("*.toml"))


def _lists_runs(path: Path) -> bool:
    try:
        return not OF_A_SWEEP.isdisjoint(read_toml(path))
    except ConfigError:
        return False  # it is told what is wrong with it when it is chosen


def _first_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            line = file.readline().strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return line.lstrip("# ") if line.startswith("#") else ""
