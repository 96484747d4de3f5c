"""The table at the end of a drill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Outcome:
    """How a scenario went."""

    name: str
    title: str
    seconds: float
    found: str
    """What was checked and measured, or what did not hold."""
    result: Literal["ok", "skipped", "FAILED"]


def table(outcomes: Sequence[Outcome]) -> str:
    """One Markdown row per scenario."""
    rows = [
        f"| {one.name} | {one.title} | {one.seconds:.0f} s | {one.found} | {one.result} |"
        for one in outcomes
    ]
    return "\n".join(
        ("| drill | what happens | took | found | result |", "|---|---|---:|---|---|", *rows)
    )
