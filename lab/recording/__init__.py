"""Recording runs of other people's training code: numpy in, no torch, no engine of ours."""

from lab.recording.arrays import BadRecord
from lab.recording.open_run import OpenRun, open_run, resume_run

__all__ = ["BadRecord", "OpenRun", "open_run", "resume_run"]
