"""What the machine does while a run goes on: samples for the scalars."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

import psutil

GPU_SECONDS = 5.0
GIB = 2**30


class MachineSampler:
    """Samples this process and its first visible GPU."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first call only starts the clock
        self._gpu_query = _gpu_query(shutil.which("nvidia-smi"), os.environ)

    def sample(self) -> dict[str, float]:
        """sys/cpu_percent (100 = one core), sys/memory_gib (resident), and sys/gpu_percent and
        sys/gpu_memory_gib where there is a GPU."""
        return {
            "sys/cpu_percent": self._process.cpu_percent(),
            "sys/memory_gib": self._process.memory_info().rss / GIB,
            **self._gpu(),
        }

    def _gpu(self) -> dict[str, float]:
        if self._gpu_query is None:
            return {}
        try:
            done = subprocess.run(
                self._gpu_query, capture_output=True, text=True, timeout=GPU_SECONDS, check=True
            )
            return parse_gpu(done.stdout)
        except (OSError, subprocess.SubprocessError, ValueError):
            self._gpu_query = None  # a driver that does not answer is not asked every 2 s
            return {}


def parse_gpu(line: str) -> dict[str, float]:
    """ "37, 2048" (percent, MiB) -> scalars."""
    percent, mebibytes = line.strip().splitlines()[0].split(",")
    return {"sys/gpu_percent": float(percent), "sys/gpu_memory_gib": float(mebibytes) / 1024}


def _gpu_query(program: str | None, environment: Mapping[str, str]) -> list[str] | None:
    """The command that asks for the GPU that torch calls cuda:0; None when there is none."""
    visible = environment.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if program is None or visible in ("", "-1"):
        return None
    fields = "--query-gpu=utilization.gpu,memory.used"
    return [program, fields, "--format=csv,noheader,nounits", f"--id={visible}"]
