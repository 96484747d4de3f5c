"""The state machine, by hand: every state, what it allows, and how an end is told."""

from __future__ import annotations

import pytest

from lab.store.errors import ActionRefused
from lab.store.run_state import ACTIONS, RunFacts, check_allowed, derive_state, verdict


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (RunFacts("queued"), "queued"),
        (RunFacts("queued", stage="waiting"), "queued"),
        (RunFacts("queued", stage="over"), "queued"),
        (RunFacts("queued", stage="claimed", silent_for=1.0), "starting"),
        (RunFacts("queued", stage="started", silent_for=99.0, process_lives=True), "starting"),
        (RunFacts("queued", stage="started", silent_for=31.0), "stale"),
        (RunFacts("queued", stage="started", silent_for=1.0, cancelled=True), "stopping"),
        (RunFacts("queued", stage="started", silent_for=6.0, process_lives=False), "stale"),
        (RunFacts("queued", stage="claimed", silent_for=29.0, process_lives=False), "starting"),
        (RunFacts("queued", stage="claimed", silent_for=31.0, process_lives=False), "stale"),
        (RunFacts("running", silent_for=4.0, process_lives=False), "running"),
        (RunFacts("running", silent_for=6.0, process_lives=False), "stale"),
        (RunFacts("running", silent_for=-6.0, process_lives=False), "stale"),
        (RunFacts("running", silent_for=29.0), "running"),
        (RunFacts("running", silent_for=31.0), "stale"),
        (RunFacts("running", silent_for=9_999.0, process_lives=True), "running"),
        (RunFacts("running", silent_for=None), "stale"),
        (RunFacts("running", silent_for=-20.0), "running"),
        (RunFacts("running", silent_for=-3_600.0), "stale"),
        (RunFacts("running", silent_for=-3_600.0, process_lives=True), "running"),
        (RunFacts("running", stage="started", silent_for=1.0, cancelled=True), "stopping"),
        (RunFacts("running", stage="started", silent_for=31.0, cancelled=True), "stale"),
        (RunFacts("finished", stage="over", cancelled=True), "finished"),
        (RunFacts("failed", silent_for=99.0), "failed"),
        (RunFacts("stopped", stage="started", process_lives=True), "stopped"),
    ],
)
def test_facts_become_a_state(facts: RunFacts, state: str):
    assert derive_state(facts) == state


def test_every_state_says_what_may_be_done():
    allowed = {state: "".join(sorted(one[0] for one in acts)) for state, acts in ACTIONS.items()}

    # a = apply, c = cancel, f = fork, m = move, r r = resume and retry
    assert allowed == {
        "queued": "cm",
        "starting": "c",
        "running": "acf",
        "stopping": "cf",
        "finished": "f",
        "failed": "frr",
        "stopped": "frr",
        "stale": "frr",
    }


def test_what_is_not_allowed_is_refused_with_the_states_that_allow_it():
    check_allowed("r1", "running", "apply")

    with pytest.raises(ActionRefused, match="r1 is finished: apply is for runs that are run"):
        check_allowed("r1", "finished", "apply")
    with pytest.raises(ActionRefused, match="queued or starting or running or stopping"):
        check_allowed("r1", "failed", "cancel")


@pytest.mark.parametrize(
    ("exit_code", "began", "cancels", "status", "reason"),
    [
        (-9, True, 0, "failed", "its process was ended by SIGKILL"),
        (-15, False, 1, "stopped", "stopped on request before it began, without a checkpoint"),
        (-9, True, 2, "stopped", "killed on request"),
        (1, False, 0, "failed", "the engine ended with exit code 1 before it began; see its outp"),
        (None, True, 0, "failed", "its process is gone and left no word"),
        (-64, True, 0, "failed", "its process was ended by SIG"),
        (-250, True, 0, "failed", "its process was ended by signal 250"),
    ],
)
def test_an_end_without_a_word_is_told_by_the_exit_code(
    exit_code: int | None, began: bool, cancels: int, status: str, reason: str
):
    found = verdict(exit_code, began=began, cancels=cancels)

    assert found[0] == status
    assert found[1].startswith(reason)
