"""Changes between steps: taken over or refused, and made again by a run that resumes."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from engine.live import LiveChanges, with_config
from engine.recorder import MemoryRecorder
from lab.config import (
    AppliedChange,
    Ask,
    Change,
    ConfigError,
    PlDcConfig,
    RunConfig,
    change_live,
    full_key,
    live_keys,
    parse_run_config,
)

CONFIG = parse_run_config({"method": {"name": "pl_dc", "dicc": False, "burn_in_steps": 2}})
KEY = "method.mask_threshold"


@dataclass
class ListInbox:
    """Asks from a list."""

    asks: list[Ask] = field(default_factory=list)
    refusals: list[tuple[int, str]] = field(default_factory=list)

    def take(self) -> Ask | None:
        return self.asks.pop(0) if self.asks else None

    def refuse(self, ask: Ask, reason: str) -> None:
        self.refusals.append((ask.ask, reason))


@dataclass(frozen=True)
class Keeps:
    """A method that remembers something between steps."""

    config: PlDcConfig
    bank: list[int] = field(default_factory=list, init=False)

    def state_dict(self) -> dict[str, list[int]]:
        return {"bank": list(self.bank)}

    def load_state_dict(self, state: dict[str, list[int]]) -> None:
        self.bank[:] = state["bank"]


def mask_threshold(config: RunConfig) -> float:
    assert isinstance(config.method, PlDcConfig)
    return config.method.mask_threshold


def test_without_changes_the_config_is_the_same_object():
    assert LiveChanges().before(7, CONFIG, MemoryRecorder()) is CONFIG


def test_an_ask_is_taken_over_before_the_step_and_recorded_with_old_and_new_value():
    recorder = MemoryRecorder()
    inbox = ListInbox([Ask(12, {KEY: 0.5}, "ada")])

    changed = LiveChanges(inbox=inbox).before(7, CONFIG, recorder)

    assert mask_threshold(changed) == 0.5
    assert recorder.changes == [AppliedChange(7, {KEY: Change(0.9, 0.5)}, "ada", 12)]


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (KEY, 1.5, "must be at most 1"),
        ("method.burn_in_steps", 9, "cannot change while the run trains; what can: method.class_"),
        ("method.mask_treshold", 0.5, "unknown key"),
        ("schedule.max_steps", 9, "cannot change"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason_and_changes_nothing(
    key: str, value: float, reason: str
):
    recorder = MemoryRecorder()
    inbox = ListInbox([Ask(12, {key: value, KEY: value}, "ada")])

    assert LiveChanges(inbox=inbox).before(7, CONFIG, recorder) is CONFIG
    assert recorder.changes == []
    ((ask, said),) = inbox.refusals
    assert ask == 12
    assert reason in said


def test_the_past_is_made_again_at_its_steps_and_not_recorded_again():
    past = [
        AppliedChange(2, {KEY: Change(0.9, 0.8)}, "ada"),
        AppliedChange(3, {KEY: Change(0.8, 0.7)}, "ada"),
        AppliedChange(6, {KEY: Change(0.7, 0.6)}, "ada"),
    ]
    recorder = MemoryRecorder()
    changes = LiveChanges(past)

    config, seen = CONFIG, []
    for step in (3, 4, 5, 6, 7):  # resumed from a checkpoint after 3 steps
        config = changes.before(step, config, recorder)
        seen.append(mask_threshold(config))

    assert seen == [0.7, 0.7, 0.7, 0.6, 0.6]
    assert recorder.changes == []


def test_a_method_with_a_new_config_keeps_what_it_remembers():
    assert isinstance(CONFIG.method, PlDcConfig)
    method = Keeps(CONFIG.method)
    method.bank.append(3)
    changed = change_live(CONFIG, {KEY: 0.5}, "here")[0]

    found = with_config(method, changed)  # pyright: ignore[reportArgumentType]

    assert isinstance(found, Keeps)
    assert (found.config.mask_threshold, found.bank) == (0.5, [3])
    assert method.config.mask_threshold == 0.9


def test_the_config_says_which_keys_are_live():
    assert live_keys(parse_run_config({})) == ["method.ema_decay"]
    assert full_key(CONFIG, "mask_threshold") == KEY
    assert full_key(CONFIG, "seed") == "seed", "not live: left as it is, and refused later"
    assert change_live(CONFIG, {KEY: 0.9}, "here")[1] == {}, "the same value again"
    with pytest.raises(ConfigError, match=r"here: method\.dicc: cannot change"):
        change_live(CONFIG, {"method.dicc": True}, "here")
