"""`seglab sql`: any question about the store, in SQL, read only."""

from __future__ import annotations

import csv
import sys
from typing import Annotated

import typer

from app.commands.options import Json, StoreRoot, open_reader
from app.commands.terminal import WrongUse, note, say, say_json, say_table
from lab.store.plain_sql import SqlAnswer, ask_sql, table_columns
from lab.store.sql_views import VIEWS
from lab.store.store import Store

EXAMPLE = (
    "seglab sql \"SELECT class, kind, count(*) FROM pseudo_labels WHERE run_id = 'ID' AND kept "
    'GROUP BY class, kind"'
)
MOST_ROWS = 1_000_000_000


def sql(
    question: Annotated[
        str | None, typer.Argument(metavar="SELECT", help="One SELECT statement.")
    ] = None,
    tables: Annotated[
        bool, typer.Option("--tables", help="Explain what can be asked: views and their columns.")
    ] = False,
    limit: Annotated[
        int, typer.Option(min=0, max=MOST_ROWS, help="Most rows to answer; 0 = all.")
    ] = 1000,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """Ask the store in SQL. Nothing can be changed; --tables says what there is to ask."""
    if (question is None) != tables:
        raise WrongUse("sql takes either a SELECT statement or --tables")
    if as_csv and json:
        raise WrongUse("sql prints either --csv or --json")
    with open_reader(store_root) as store:
        if question is None:
            explain(store, json)
            return
        found = ask_sql(store, question, limit or None)
    show(found, as_csv=as_csv, json=json)
    if found.more:
        note(f"the first {limit} rows; --limit 0 answers all")


def show(found: SqlAnswer, *, as_csv: bool, json: bool) -> None:
    """Print an answer. JSON is a list of objects; bytes are hexadecimal."""
    rows = [tuple(_printable(value) for value in row) for row in found.rows]
    if json:
        twice = {name for name in found.columns if found.columns.count(name) > 1}
        if twice:
            raise WrongUse(
                f"two columns are called {min(twice)}: --json needs a name for each (AS)"
            )
        say_json([dict(zip(found.columns, row, strict=True)) for row in rows])
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(found.columns)
        writer.writerows(rows)
    else:
        texts = [tuple("-" if value is None else value for value in row) for row in rows]
        say_table(found.columns, texts, words=_text_columns(rows))


def explain(store: Store, json: bool) -> None:
    """Every view with its columns and their meaning, then the tables below them."""
    raw = table_columns(store)
    if json:
        views = {
            view.name: {
                "about": view.about,
                "columns": {column.name: column.about for column in view.columns},
            }
            for view in VIEWS
        }
        say_json({"views": views, "tables": raw})
        return
    for view in VIEWS:
        lines = [(column.name, column.about) for column in view.columns]
        say_table((view.name, view.about), lines, words=2)
        say()
    say_table(
        ("table", "columns, in numbers (lab/store/tables.py)"),
        [(name, ", ".join(columns)) for name, columns in raw.items()],
        words=2,
    )
    say()
    say(f"for example: {EXAMPLE}")


def _printable(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


def _text_columns(rows: list[tuple[object, ...]]) -> int:
    """How many of the first columns hold text: those are not aligned as numbers."""
    if not rows:
        return 1
    texts = [isinstance(value, str) for value in rows[0]]
    return max(1, texts.index(False) if False in texts else len(texts))
