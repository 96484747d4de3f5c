"""Changing a run while it trains: ask, and wait for its answer."""

from __future__ import annotations

import getpass
import platform
import time
from collections.abc import Mapping
from typing import Any

from lab.config import change_live, full_key
from lab.store.asks import AskRow, ask_change, ask_row, config_at
from lab.store.queries import get_run
from lab.store.run_state import check_allowed
from lab.store.store import Store

LOOK_SECONDS = 0.1


def apply_live(
    store: Store,
    run_id: str,
    values: Mapping[str, Any],
    *,
    author: str | None = None,
    timeout: float = 30.0,
) -> AskRow:
    """Change values of a running run before its next step; returns its answer.

    Args:
        values: by dotted key, or by its end where that is clear, such as "mask_threshold".
        timeout: seconds to wait. A run in the middle of an evaluation answers after it; the answer
            is None then, and the run makes the change nevertheless.

    Raises:
        ActionRefused: the run is not running.
        ConfigError: a value cannot be changed, or not to that.
    """
    check_allowed(run_id, get_run(store, run_id).status, "apply")
    config = config_at(store, run_id)
    changes = {full_key(config, key): value for key, value in values.items()}
    change_live(config, changes, f"run {run_id}")
    ask = ask_change(store, run_id, changes, author or this_author())
    return wait_for_answer(store, ask, timeout)


def wait_for_answer(store: Store, ask: int, timeout: float) -> AskRow:
    """The ask as it is when it has an answer, or when the time is over."""
    deadline = time.monotonic() + timeout
    while (row := ask_row(store, ask)).answer is None and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    return row


def this_author() -> str:
    """ "name@machine" of whoever asks."""
    try:
        return f"{getpass.getuser()}@{platform.node()}"
    except (KeyError, OSError):  # a container's user without a name
        return platform.node()
