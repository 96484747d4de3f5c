"""A run as a process: what it says may get lost, what it does may not."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from engine.process import TerminalHandler

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
def test_a_terminal_that_cannot_be_written_to_does_not_stop_training(
    monkeypatch: pytest.MonkeyPatch,
):
    said = FULL.open("w")
    monkeypatch.setattr(sys, "stderr", said)

    TerminalHandler().handle(logging.makeLogRecord({"msg": "step 1"}))

    with pytest.raises(OSError, match="No space"):
        said.close()
