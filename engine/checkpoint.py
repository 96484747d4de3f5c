"""Checkpoints: everything a run needs to go on as if it had never stopped.

Saved atomically (a crash leaves the old one), loaded with `weights_only=True`: a checkpoint is
data, it can never run code.
"""

from __future__ import annotations

import logging
import os
import shutil
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

log = logging.getLogger("seglab")

FORMAT = 1
ROOM = 1 << 20
"""A disk with fewer free bytes than this is full: no checkpoint fits."""
RANKS = "ranks"
"""Key of what the methods of several ranks remember."""


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message names the file and says why."""


@contextmanager
def asked_for_by(key: str, value: str) -> Iterator[None]:
    """Errors of weights that a config names say by which key."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{key} = {value!r}: {error}") from None


@dataclass(frozen=True)
class Checkpoint:
    """The state after `step` completed steps."""

    step: int
    student: Mapping[str, Tensor]
    teacher: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    scaler: Mapping[str, Any]
    rng: Tensor
    """torch's CPU generator; every draw of a step is seeded by (seed, step) besides."""
    method: Mapping[str, Any] = field(default_factory=dict)
    """What the method remembers between steps; empty for most. See `joint_memory`."""


def joint_memory(of_ranks: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """What the methods of all ranks remember, as one: each may have seen other images."""
    if len(of_ranks) == 1 or not any(of_ranks):
        return of_ranks[0]
    return {RANKS: [dict(one) for one in of_ranks]}


def own_memory(memory: Mapping[str, Any], rank: int) -> Mapping[str, Any]:
    """What the method of a rank remembers, of `joint_memory`.

    In a fork with more ranks than its parent, these begin with what another of them remembers.
    """
    if RANKS not in memory:
        return memory
    return memory[RANKS][rank % len(memory[RANKS])]


def on_host(state: Any) -> Any:
    """The same state with its tensors on the host."""
    if isinstance(state, Tensor):
        return state.cpu()
    if isinstance(state, Mapping):
        return {key: on_host(value) for key, value in state.items()}
    return [on_host(value) for value in state] if isinstance(state, list) else state


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write to a temporary file, flush it to the disk, then rename.

    Raises:
        CheckpointError: it cannot be written; the older ones are as they were.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            torch.save({"format": FORMAT, **vars(checkpoint)}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch makes a RuntimeError of a full disk
        raise CheckpointError(f"{path}: cannot be written: {_why_not(path, error)}") from error
    finally:
        temporary.unlink(missing_ok=True)


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Raises CheckpointError when the file is missing, damaged or of another format."""
    state = _load(path, device)
    if not isinstance(state, dict) or state.pop("format", None) != FORMAT:
        raise CheckpointError(f"{path}: not a checkpoint of this program (format {FORMAT})")
    _check_sums(path)
    try:
        return Checkpoint(**state)
    except TypeError as error:
        raise CheckpointError(f"{path}: incomplete checkpoint: {error}") from None


def list_checkpoints(directory: Path) -> list[Path]:
    """The files in a directory, oldest step first."""
    return sorted(directory.glob("step-*.pt"), key=checkpoint_step)


def newest_usable(directory: Path, recorded: Collection[int] | None = None) -> Checkpoint | None:
    """The newest checkpoint that can be read; damaged ones are named in the log and skipped.

    Args:
        recorded: steps of the checkpoints that the run's record knows, and with them all that
            happened before. A store that lost its newest rows (a damaged write-ahead log, an older
            copy put back) has to have them trained again. None = whatever it knows.
    """
    for path in reversed(list_checkpoints(directory)):
        if recorded is not None and checkpoint_step(path) not in recorded:
            log.warning("skipping %s: the store has no record of it, nor of all before it", path)
            continue
        try:
            return load_checkpoint(path, "cpu")
        except CheckpointError as error:
            log.warning("skipping a damaged checkpoint: %s", error)
    return None


def checkpoint_path(directory: Path, step: int) -> Path:
    return directory / f"step-{step:08d}.pt"


def checkpoint_step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def load_weights(path: Path) -> dict[str, Tensor]:
    """A flat state dict from safetensors or a torch file (its "model"/"state_dict" if nested)."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file of weights")
    if path.suffix == ".safetensors":
        return safetensors.torch.load_file(path)
    state = _load(path, "cpu")
    for key in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(f"{path}: expected a state dict of tensors")
    return state


def _check_sums(path: Path) -> None:
    """torch writes a checksum for each part and does not look at it when it reads."""
    try:
        with zipfile.ZipFile(path) as parts:
            damaged = parts.testzip()
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"{path}: damaged: {error}") from None
    if damaged is not None:
        raise CheckpointError(f"{path}: damaged: {damaged} does not match its checksum")


def _why_not(path: Path, error: Exception) -> str:
    """Why a file could not be written, in one line."""
    free = shutil.disk_usage(path.parent).free if path.parent.is_dir() else None
    if free is not None and free < ROOM:
        return f"no space is left on its disk ({free:,} bytes are free)"
    return str(error).splitlines()[0]


def _load(path: Path, device: torch.device | str) -> Any:
    try:
        return torch.load(path, map_location=device, weights_only=True)  # noqa: TID251
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint") from None
    except Exception as error:  # torch raises half a dozen types for a damaged file
        reason = ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
        raise CheckpointError(f"{path}: cannot be read ({reason})") from error
