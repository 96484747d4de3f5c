"""A training run as a process: what signals do to it, and where its log goes."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from types import FrameType

from engine.trainer import Trainer

log = logging.getLogger("seglab")


TOLD = "told"
"""Marks a line of the log that the terminal is told in another way."""


def log_alone(error: Exception) -> None:
    """Into the run's log file; the terminal hears of the error from who catches it."""
    if log.handlers:
        log.error("%s", error, extra={TOLD: True})


def stop_on_signals(trainer: Trainer) -> None:
    """The first SIGTERM or Ctrl-C: checkpoint, then stop. The second Ctrl-C: at once."""

    def stop(signal_number: int, _: FrameType | None) -> None:
        if trainer.stop_requested and signal_number == signal.SIGINT:
            raise KeyboardInterrupt
        trainer.stop_requested = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


class TerminalHandler(logging.Handler):
    """Writes to what stderr is now: a progress bar puts itself there while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, TOLD, False):
            return
        try:
            print(self.format(record), file=sys.stderr, flush=True)  # noqa: T201
        except OSError:  # the file that stderr is may be on a full disk
            self.handleError(record)


def log_to(path: Path) -> None:
    """Lines go to the run's log file; what matters also goes to the terminal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    to_file = logging.FileHandler(path)
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    to_terminal = TerminalHandler()
    to_terminal.setFormatter(logging.Formatter("%(message)s"))
    log.handlers[:] = [to_file, to_terminal]
    log.setLevel(logging.INFO)
    log.propagate = False
