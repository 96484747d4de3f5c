"""Changes of the config while it trains: thresholds moved by people, between two steps.

A run that resumes makes the changes of its past again, each at its step; so it goes on as if it had
never stopped, and what was in effect at any step is known.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import is_dataclass, replace
from typing import cast

from engine import ranks
from engine.interfaces import Method, RemembersState
from engine.recorder import Inbox, NoInbox, Recorder
from lab.config import AppliedChange, Ask, ConfigError, RunConfig, change_live

log = logging.getLogger("seglab")


class SharedInbox:
    """What rank 0 is asked, all ranks do before the same step."""

    def __init__(self, inbox: Inbox) -> None:
        """`inbox`: nobody's, on the other ranks."""
        self._inbox = inbox

    def take(self) -> Ask | None:
        ask = self._inbox.take()
        return ranks.from_first(ask) if ranks.anywhere(ask is not None) else None

    def refuse(self, ask: Ask, reason: str) -> None:
        self._inbox.refuse(ask, reason)


class LiveChanges:
    """The changes of one run: those of its past, and those people ask for now."""

    def __init__(self, past: Iterable[AppliedChange] = (), inbox: Inbox | None = None) -> None:
        """`past`: what the run has recorded, in the order of its steps."""
        self._past = deque(past)
        self._inbox = inbox or NoInbox()

    def before(self, step: int, config: RunConfig, recorder: Recorder) -> RunConfig:
        """The config for `step`: the same object when nothing changes, which takes no time."""
        while self._past and self._past[0].step <= step:
            config = self._again(self._past.popleft(), config)
        while (ask := self._inbox.take()) is not None:
            config = self._answered(ask, step, config, recorder)
        return config

    def _again(self, change: AppliedChange, config: RunConfig) -> RunConfig:
        origin = f"change recorded before step {change.step}"
        return change_live(config, change.values, origin)[0]

    def _answered(self, ask: Ask, step: int, config: RunConfig, recorder: Recorder) -> RunConfig:
        try:
            changed, changes = change_live(config, ask.values, f"asked by {ask.author}")
        except ConfigError as error:
            log.warning("refused before step %d: %s", step, error)
            self._inbox.refuse(ask, str(error))
            return config
        recorder.applied(AppliedChange(step, changes, ask.author, ask.ask))
        for key, one in changes.items():
            log.info("step %d: %s %r -> %r, by %s", step, key, one.old, one.new, ask.author)
        return changed


def with_config(method: Method, config: RunConfig) -> Method:
    """The method with the run's new config for it; what it remembers goes along."""
    if not is_dataclass(method) or isinstance(method, type):
        raise TypeError(f"{type(method).__name__}: a method has to be a frozen dataclass")
    changed = cast(Method, replace(method, config=config.method))
    if isinstance(method, RemembersState) and isinstance(changed, RemembersState):
        changed.load_state_dict(method.state_dict())
    return changed
