"""Every drill by name, in the order in which they are played."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from tests.drill import checkpoint_faults, clock, disk_faults, kills, log_faults
from tests.drill.stage import Limits, Stage

Act = Callable[[Stage, random.Random, Limits], str]
"""Plays a drill: the stage, where chance comes from, how much of it; what was found."""

SCENARIOS: Mapping[str, Act] = {
    "kill": kills.kill_at_random_moments,
    "blackout": kills.kill_all_at_once,
    "disk": disk_faults.fill_the_disk,
    "read-only": disk_faults.forbid_writing,
    "clock": clock.set_the_clock,
    "stop": checkpoint_faults.stop_while_saving,
    "checkpoint": checkpoint_faults.damage_checkpoints,
    "log": log_faults.damage_the_log,
}
