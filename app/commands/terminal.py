"""How verbs speak: tables and lines for people, JSON for machines, complaints on stderr."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pydantic_core
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lab.datasets.records import ErrorKind

PIPE_WIDTH = 240
"""Characters of a line where nobody's terminal says how wide it is."""


class WrongUse(ValueError):
    """The command line makes no sense; the message says what to write instead. Exit code 2."""


class CommandFailed(RuntimeError):
    """The command was right and its work failed. Exit code 1."""


def say(text: str = "") -> None:
    """One line for people, on stdout."""
    typer.echo(text)


def note(text: str) -> None:
    """One line beside the result, on stderr: it never mixes with JSON."""
    typer.echo(text, err=True)


def complain(text: str) -> None:
    typer.echo(f"seglab: {text}", err=True)


def say_json(value: object) -> None:
    """Any dataclass, path, array or enum as indented JSON; NaN becomes null."""
    typer.echo(as_json(value))


def as_json(value: object) -> str:
    return pydantic_core.to_json(
        value, indent=2, inf_nan_mode="null", fallback=_plain_array
    ).decode()


def say_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    words: int = 1,
) -> None:
    """A table whose first `words` columns are text and whose others are aligned as numbers.

    Cells are shown as they are: names from data are never read as markup.
    """
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for index, heading in enumerate(headings):
        side = "left" if index < words else "right"
        table.add_column(Text(heading), justify=side, overflow="fold", no_wrap=index == 0)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    console.print(table)


def number(value: float | None, digits: int = 1) -> str:
    """A number, or a dash where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """A share in [0, 1] as per cent, or a dash."""
    return "-" if value is None or math.isnan(value) else f"{100 * value:.1f} %"


def kind_name(kind: ErrorKind) -> str:
    """Cor, Loc, Sim, Oth, BG: as the paper writes them."""
    return "BG" if kind is ErrorKind.BG else kind.name.title()


def counted(count: int, noun: str) -> str:
    """ "1 error", "2 errors"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def byte_size(size: float) -> str:
    """1536 -> "1.5 KB"; 0 -> "-"."""
    if size <= 0:
        return "-"
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"


def duration(seconds: float | None) -> str:
    """3725 -> "1 h 02 min"; 65 -> "1 min 05 s"."""
    if seconds is None or math.isnan(seconds):
        return "-"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _plain_array(value: Any) -> Any:
    to_list: Callable[[], Any] | None = getattr(value, "tolist", None)
    if to_list is None:
        raise TypeError(f"{type(value).__name__} has no JSON form")
    return to_list()
