"""The ground of seglab: what an experiment is, and what is known about it. No torch here.

`lab.open_run` and `lab.resume_run` record training code that is not ours (docs/recording.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.recording import BadRecord, OpenRun, open_run, resume_run

__all__ = ["BadRecord", "OpenRun", "open_run", "resume_run"]


def __getattr__(name: str) -> Any:
    """Whoever imports a part of the lab does not wait for the recorder."""
    if name in __all__:
        from lab import recording

        return getattr(recording, name)
    raise AttributeError(f"module 'lab' has no attribute {name!r}")
