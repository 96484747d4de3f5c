"""Changes that a run is asked to make while it trains, and those it has made.

A person asks (a row in `asks`), the run answers: applied before a step, or refused with a reason.
What was applied is an event of the run, so that the config in effect at every step is known.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, insert, select, update

from lab.config import (
    AppliedChange,
    Change,
    RunConfig,
    parse_run_config,
    parse_stored_config,
    with_overrides,
)
from lab.store.errors import StoreError
from lab.store.jsonable import jsonable
from lab.store.run_facts import state_of
from lab.store.run_state import check_allowed
from lab.store.runs import APPLIED, run_number
from lab.store.store import Store
from lab.store.tables import asks, events, runs

Answer = Literal["applied", "refused"]


@dataclass(frozen=True, slots=True)
class AskRow:
    """A change that somebody asked for."""

    ask: int
    changes: dict[str, Any]
    """New values by dotted key."""
    author: str
    created: float
    answer: Answer | None
    """None = the run has not answered yet."""
    step: int | None
    """Applied: in effect from before this step on."""
    reason: str | None
    """Why it was refused."""


def ask_change(store: Store, run_id: str, changes: Mapping[str, Any], author: str) -> int:
    """Ask a running run for a change; returns the number to look for the answer with.

    Raises:
        ActionRefused: the run is not running.
    """
    with store.writing() as connection:
        run = run_number(connection, run_id)
        check_allowed(run_id, state_of(connection, run), "apply")
        new = insert(asks).values(
            run=run, changes=jsonable(changes), author=author, created=time.time()
        )
        return connection.execute(new.returning(asks.c.ask)).scalar_one()


def ask_row(store: Store, ask: int) -> AskRow:
    """Raises StoreError when nobody asked under this number."""
    with store.reading() as connection:
        row = connection.execute(select(asks).where(asks.c.ask == ask)).one_or_none()
    if row is None:
        raise StoreError(f"ask {ask}: not in this store")
    return _ask(row)


def open_asks(store: Store, run_id: str) -> list[AskRow]:
    """What the run has not answered yet, oldest first."""
    with store.reading() as connection:
        run = run_number(connection, run_id)
        query = select(asks).where(asks.c.run == run, asks.c.answer.is_(None))
        return [_ask(row) for row in connection.execute(query.order_by(asks.c.ask))]


def refuse_ask(store: Store, ask: int, reason: str) -> None:
    with store.writing() as connection:
        write_answer(connection, ask, "refused", reason=reason)


def write_answer(
    connection: Connection,
    ask: int,
    answer: Answer,
    *,
    step: int | None = None,
    reason: str | None = None,
) -> None:
    """Answer inside the caller's transaction; the first answer counts."""
    connection.execute(
        update(asks)
        .where(asks.c.ask == ask, asks.c.answer.is_(None))
        .values(answer=answer, step=step, reason=reason, answered=time.time())
    )


def write_applied(connection: Connection, run: int, change: AppliedChange, now: float) -> None:
    """Record an applied change as an event, and its answer, inside the caller's transaction.

    A change to what was there already is answered and leaves no event.
    """
    payload = {
        "changes": {key: {"old": one.old, "new": one.new} for key, one in change.changes.items()},
        "author": change.author,
        "ask": change.ask,
    }
    if change.changes:
        connection.execute(
            insert(events).values(
                run=run, step=change.step, kind=APPLIED, payload=jsonable(payload), created=now
            )
        )
    if change.ask is not None:
        write_answer(connection, change.ask, "applied", step=change.step)


def record_applied(store: Store, run_id: str, change: AppliedChange) -> None:
    """As `write_applied`, in a transaction of its own."""
    with store.writing() as connection:
        write_applied(connection, run_number(connection, run_id), change, time.time())


def applied_changes(store: Store, run_id: str) -> list[AppliedChange]:
    """Every change a run made while it trained, in the order in which it made them."""
    with store.reading() as connection:
        rows = connection.execute(
            select(events.c.step, events.c.payload)
            .where(events.c.run == run_number(connection, run_id), events.c.kind == APPLIED)
            .order_by(events.c.step, events.c.event_id)
        ).all()
    return [_applied(row) for row in rows]


def config_at(store: Store, run_id: str, step: int | None = None) -> RunConfig:
    """The config in effect in `step`: as launched, with the changes up to then; None = in the end.

    Raises:
        RunNotFound: no such run.
        ConfigError: the stored config is of another version of seglab, or of other code.
    """
    with store.reading() as connection:
        run = run_number(connection, run_id)
        tree = connection.scalar(select(runs.c.config).where(runs.c.run == run)) or {}
    past = [one for one in applied_changes(store, run_id) if step is None or one.step <= step]
    return with_changes(parse_stored_config(tree, run_id), past)


def with_changes(config: RunConfig, past: Sequence[AppliedChange]) -> RunConfig:
    """The config after changes that were made one after the other."""
    for change in past:
        tree = with_overrides(config.model_dump(mode="json"), change.values)
        config = parse_run_config(tree, f"change before step {change.step}")
    return config


def _ask(row: Row) -> AskRow:
    return AskRow(row.ask, row.changes, row.author, row.created, row.answer, row.step, row.reason)


def _applied(row: Row) -> AppliedChange:
    payload = row.payload
    changes = {key: Change(one["old"], one["new"]) for key, one in payload["changes"].items()}
    return AppliedChange(row.step, changes, payload["author"], payload.get("ask"))
