"""Room on the disk for last words: how a run ended has to be written on a full disk too."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.exc import OperationalError

RESERVE_BYTES = 512 * 1024
"""A few transactions of a few pages each, and the files that SQLite makes beside the store."""
PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between tries: others who write on the disk may take the room before they fail too."""


class Reserve:
    """A file of random bytes in a run's directory, given back to the disk when it is needed."""

    def __init__(self, directory: Path, *, keep: bool) -> None:
        """`keep` = False: there is no file, only the tries."""
        self._file = directory / "reserve.tmp"
        if keep:
            self._keep()

    def spend_on(self, act: Callable[[], None]) -> None:
        """Do it, and once more with the room of the reserve if the store cannot be written.

        Raises:
            OperationalError: it cannot be done all the same.
        """
        try:
            act()
        except OperationalError:
            self._do_with_more_room(act)
        finally:
            self._file.unlink(missing_ok=True)

    def _do_with_more_room(self, act: Callable[[], None]) -> None:
        self._file.unlink(missing_ok=True)
        for pause in PAUSES[:-1]:
            time.sleep(pause)
            try:
                return act()
            except OperationalError:
                continue
        time.sleep(PAUSES[-1])
        return act()

    def _keep(self) -> None:
        """Take the room. A disk that has none for it has none for a run either: that comes out."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file.write_bytes(os.urandom(RESERVE_BYTES))
        except OSError:
            self._file.unlink(missing_ok=True)
