"""How benchmarks speak: a line as soon as it is known."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def say_line(name: str, value: str) -> None:
    """What was measured, and its numbers, under those of the lines above."""
    say(f"  {name:<52}{value}")
