"""Where on this machine runs can go: one slot per run at a time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lab.config import ConfigError, RunConfig

Need = Literal["cpu", "cuda", "any"]

ASK_SECONDS = 60.0
GPU_FILES = (Path("/dev/nvidia0"), Path("/dev/kfd"))
"""One of these is there when a driver is; only then is torch worth a question."""
ASK_TORCH = "import torch; print(torch.cuda.device_count())"


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one run: its name, what may go there, and what its process is told."""

    name: str
    serves: tuple[Need, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def need_of(config: RunConfig) -> Need:
    """What a run has to be given.

    Raises:
        ConfigError: it asks for a certain CUDA device; in the queue that is not its choice. Or
            for several devices.
    """
    device, processes = config.schedule.device, config.schedule.processes
    if processes > 1 and device != "cpu":
        raise ConfigError(
            f"schedule.processes = {processes} with schedule.device = {device!r}: the queue gives "
            'every run one device; start it with seglab train, or write schedule.device = "cpu"'
        )
    if device == "auto":
        return "any"
    if device in ("cpu", "cuda"):
        return device
    raise ConfigError(
        f"schedule.device = {device!r}: the queue gives every run a device of its own; "
        'write "auto", "cuda" or "cpu"'
    )


def slots_of(gpus: list[str], cpu_slots: int) -> list[Slot]:
    """One slot per GPU, and `cpu_slots` for what runs without one.

    Where there are GPUs, a run that does not care gets one of them, never a processor alone.
    """
    cuda = [Slot(f"cuda:{name}", ("any", "cuda"), {"CUDA_VISIBLE_DEVICES": name}) for name in gpus]
    serves: tuple[Need, ...] = ("cpu",) if gpus else ("any", "cpu")
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if gpus else {}
    return [*cuda, *(Slot(f"cpu:{number}", serves, hidden) for number in range(cpu_slots))]


def default_cpu_slots(gpus: list[str]) -> int:
    """Half of the processors where runs go without a GPU; one beside GPUs, for small jobs."""
    return 1 if gpus else max(1, (os.cpu_count() or 1) // 2)


def find_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The GPUs that a process may use, as CUDA_VISIBLE_DEVICES names them; [] without any."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return visible_gpus(visible)
    program = shutil.which("nvidia-smi")
    if program is not None:
        listed = _ask([program, "--query-gpu=index", "--format=csv,noheader"])
        return listed.split() if listed else []
    if any(path.exists() for path in GPU_FILES):
        count = _ask([sys.executable, "-c", ASK_TORCH])
        return [str(number) for number in range(int(count or 0))]
    return []


def visible_gpus(text: str) -> list[str]:
    """ "2,3" -> ["2", "3"]; as CUDA does, nothing counts from the first "-1" on."""
    names = [name.strip() for name in text.split(",")]
    end = next((n for n, name in enumerate(names) if name in ("", "-1")), len(names))
    return names[:end]


def _ask(command: list[str]) -> str:
    """What a command prints; nothing when it fails: then there is no GPU to speak of."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=ASK_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
