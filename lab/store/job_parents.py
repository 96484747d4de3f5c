"""Jobs that wait for another run: a fork can be queued before its parent has got so far."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select

from lab.store.tables import checkpoints, jobs, runs


def awaits_its_parent() -> ColumnElement[bool]:
    """Of a row of `jobs`: its run forks from a checkpoint that is still to come.

    A run that has a checkpoint of its own goes on from that. One whose parent is not in the store
    any more, or never was, waits for nobody.
    """
    child, parent = runs.alias("child"), runs.alias("parent")
    is_there = (
        select(checkpoints.c.step)
        .where(checkpoints.c.run == parent.c.run, checkpoints.c.step == child.c.parent_step)
        .correlate(parent, child)
        .exists()
    )
    has_its_own = (
        select(checkpoints.c.step).where(checkpoints.c.run == child.c.run).correlate(child).exists()
    )
    return (
        select(child.c.run)
        .join(parent, parent.c.run_id == child.c.parent_run_id)
        .where(child.c.run == jobs.c.run, ~is_there, ~has_its_own)
        .correlate(jobs)
        .exists()
    )
