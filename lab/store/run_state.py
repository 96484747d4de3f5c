"""What state a run is in, what may be done to it, and how it ended: decided here, nowhere else.

Facts in, words out: no clock, no process and no store in this file.

    queued ──► starting ──► running ──► finished | failed | stopped
       │           │           │
       └───────────┴─cancel────┴─► stopping ──► stopped

A run is stale when it should be going and its process has ended. Of a process that cannot be
seen, on another machine or in another container, that is told by 30 s without a sign of life.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lab.store.errors import ActionRefused

State = Literal[
    "queued", "starting", "running", "stopping", "finished", "failed", "stopped", "stale"
]
StoredStatus = Literal["queued", "running", "finished", "failed", "stopped"]
FinalStatus = Literal["finished", "failed", "stopped"]
Stage = Literal["waiting", "claimed", "started", "sent", "over"]
"""Of a job: in the queue; a worker is about to start it; its process exists; a cluster has it in
its own queue, or runs it; out of the queue."""
Action = Literal["cancel", "move", "resume", "retry", "apply", "fork"]

STALE_AFTER = 30.0
"""Seconds without a sign of life after which a run is stale whose process cannot be seen."""
GONE_AFTER = 5.0
"""... whose process has ended: it may have said how after somebody else read its last word."""

ACTIONS: Mapping[State, frozenset[Action]] = {
    "queued": frozenset({"cancel", "move"}),
    "starting": frozenset({"cancel"}),
    "running": frozenset({"cancel", "apply", "fork"}),
    "stopping": frozenset({"cancel", "fork"}),
    "finished": frozenset({"fork"}),
    "failed": frozenset({"resume", "retry", "fork"}),
    "stopped": frozenset({"resume", "retry", "fork"}),
    "stale": frozenset({"resume", "retry", "fork"}),
}
"""What may be done to a run in each state. A fork needs a checkpoint besides."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known about a run."""

    stored: StoredStatus
    """What was written last."""
    stage: Stage | None = None
    """Of its job; None = it never was in the queue."""
    silent_for: float | None = None
    """Seconds since the last heartbeat, or since a worker took the job when there is none yet.
    Below 0 when the clock was set back."""
    process_lives: bool | None = None
    """Whether the process that records it, or starts it, runs now; None = cannot be seen."""
    cancelled: bool = False
    """Whether somebody asked it to stop."""


def derive_state(facts: RunFacts) -> State:
    """The one word for the facts. A living process that is silent is still running."""
    if facts.stored in ("finished", "failed", "stopped"):
        return facts.stored
    if facts.stored == "queued" and facts.stage not in ("claimed", "started"):
        return "queued"
    # A worker that died after it took a job may have started a process that will say so soon.
    has_ended = facts.process_lives is False and facts.stage != "claimed"
    patience = GONE_AFTER if has_ended else STALE_AFTER
    is_silent = facts.silent_for is None or abs(facts.silent_for) > patience
    if is_silent and not facts.process_lives:
        return "stale"
    if facts.cancelled:
        return "stopping"
    return "running" if facts.stored == "running" else "starting"


def check_allowed(run_id: str, state: State, action: Action) -> None:
    """Raises ActionRefused, with the states that the action is for."""
    if action in ACTIONS[state]:
        return
    fitting = [one for one, allowed in ACTIONS.items() if action in allowed]
    raise ActionRefused(
        f"run {run_id} is {state}: {action} is for runs that are {' or '.join(fitting)}"
    )


def verdict(exit_code: int | None, *, began: bool, cancels: int) -> tuple[FinalStatus, str]:
    """How a run ended whose process ended without saying so, and a sentence for people.

    Args:
        exit_code: of the process, negative for a signal; None = nobody was there to see it.
        began: whether the engine had begun to record.
        cancels: how often it was asked to stop.
    """
    when = "" if began else " before it began"
    if cancels > 1:
        return "stopped", f"killed on request{when}"
    if cancels == 1:
        return "stopped", f"stopped on request{when}, without a checkpoint"
    if exit_code is None:
        return "failed", f"its process is gone{when} and left no word"
    if exit_code < 0:
        return "failed", f"its process was ended by {_signal_name(-exit_code)}{when}"
    return "failed", f"the engine ended with exit code {exit_code}{when}; see its output.txt"


def steps_done(last: int | None, forked_at: int | None, planned: int) -> int:
    """Steps behind a run, never more than are planned.

    Args:
        last: the last step done, counted from 0; None = none yet.
        forked_at: steps that its parent had done where it begins; None = it has no parent.
        planned: in all, those before the fork included.
    """
    own = 0 if last is None else last + 1
    return min(max(own, forked_at or 0), planned)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
