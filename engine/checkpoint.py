"""Checkpoints: everything a run needs to go on as if it had never stopped.

Saved atomically (a crash leaves the old one), loaded with `weights_only=True`: a checkpoint is
data, it can never run code.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

log = logging.getLogger("seglab")

FORMAT = 1
RANKS = "ranks"
"""Key of what the methods of several ranks remember."""


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message names the file and says why."""


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
    """Write to a temporary file, flush it to the disk, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            torch.save({"format": FORMAT, **vars(checkpoint)}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Raises CheckpointError when the file is missing, truncated or of another format."""
    state = _load(path, device)
    if not isinstance(state, dict) or state.pop("format", None) != FORMAT:
        raise CheckpointError(f"{path}: not a checkpoint of this program (format {FORMAT})")
    try:
        return Checkpoint(**state)
    except TypeError as error:
        raise CheckpointError(f"{path}: incomplete checkpoint: {error}") from None


def list_checkpoints(directory: Path) -> list[Path]:
    """The files in a directory, oldest step first."""
    return sorted(directory.glob("step-*.pt"), key=checkpoint_step)


def newest_usable(directory: Path) -> Checkpoint | None:
    """The newest checkpoint that can be read; damaged ones are named in the log and skipped."""
    for path in reversed(list_checkpoints(directory)):
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


def _load(path: Path, device: torch.device | str) -> Any:
    try:
        return torch.load(path, map_location=device, weights_only=True)  # noqa: TID251
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint") from None
    except Exception as error:  # torch raises half a dozen types for a damaged file
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"{path}: cannot be read ({type(error).__name__}: {reason})"
        ) from error
