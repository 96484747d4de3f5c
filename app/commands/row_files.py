"""Rows in a file for other programs: CSV, or Parquet by pyarrow. It is complete when it appears."""

from __future__ import annotations

import contextlib
import csv
import importlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from app.commands.terminal import CommandFailed, WrongUse

Columns = Mapping[str, NDArray[Any]]
"""Columns by name, all of one length. What is missing in one is masked (numpy.ma), or None where
the others are texts."""

PARQUET = ".parquet"
LINES_AT_ONCE = 10_000
"""Lines of so many rows are objects of Python at a time: those take ten times the room."""
ROWS_PER_GROUP = 65_536
"""So many rows are in memory before they are written as a row group, more or less."""


def write_csv(out: Path, parts: Iterable[Columns]) -> int:
    """One line per row under a line of names; what is missing is empty. Returns their number.

    `parts` has at least one part, which may be empty; all have the same columns.
    """
    count = 0
    with replacing(out) as file:
        writer = csv.writer(file)
        for index, part in enumerate(parts):
            if index == 0:
                writer.writerow(part)
            size = len_of(part)
            for start in range(0, size, LINES_AT_ONCE):
                chosen = slice(start, start + LINES_AT_ONCE)
                lists = (values[chosen].tolist() for values in part.values())
                writer.writerows(zip(*lists, strict=True))
            count += size
    return count


def write_parquet(out: Path, parts: Iterable[Columns], about: Mapping[str, str]) -> int:
    """Rows in row groups, typed as the arrays are; what is missing is null. Returns their number.

    Args:
        parts: as in `write_csv`; the types of the first are those of the file.
        about: goes into the file's key-value metadata.

    Raises:
        WrongUse: there is no pyarrow, or `out` is a pipe or a device: it has to be a file.
    """
    if is_special(out):
        raise WrongUse(f"{out}: Parquet goes into a file, not into a pipe or a device")
    arrow, parquet = _pyarrow(out, "pyarrow"), _pyarrow(out, "pyarrow.parquet")
    count = 0
    tables = (_arrow_table(arrow, part) for part in parts)
    with whole_file(out) as temporary:
        first = next(tables)
        schema = first.schema.with_metadata({key: plain(value) for key, value in about.items()})
        with parquet.ParquetWriter(str(temporary), schema, compression="zstd") as writer:
            for group in _groups(tables):
                whole = arrow.concat_tables(group)
                writer.write_table(whole)
                count += len(whole)
    return count


def len_of(part: Columns) -> int:
    return len(next(iter(part.values())))


def plain(text: str) -> str:
    """The text with "?" for what has no UTF-8: halves of characters, as JSON can spell them."""
    return text.encode("utf-8", "replace").decode("utf-8")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[str]]:
    """A text file that takes the place of `path` when all of it is written, else not at all."""
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        yield file


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Where to write what takes the place of `path` when the block ends without an error.

    A pipe or a device stays what it is and is written to. A link stays; what it names is replaced.

    Raises:
        CommandFailed: it cannot be written; what was there before still is.
    """
    if is_special(path):
        with writing(path):
            yield path
        return
    target = path.resolve() if path.exists() else path
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    with writing(path):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


def is_special(path: Path) -> bool:
    """Whether something is there that is no file: a pipe, a device."""
    return path.exists() and not path.is_file()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the disk refuses inside the block is said of `path`."""
    try:
        yield
    except OSError as error:
        raise CommandFailed(f"{path}: cannot be written: {error.strerror or error}") from None


def _groups(tables: Iterable[Any]) -> Iterator[list[Any]]:
    """Neighbours that make up ROWS_PER_GROUP rows or a little more, and what is left."""
    group: list[Any] = []
    for table in tables:
        group.append(table)
        if sum(map(len, group)) >= ROWS_PER_GROUP:
            yield group
            group = []
    if group:
        yield group


def _arrow_table(arrow: Any, part: Columns) -> Any:
    """A pyarrow.Table; object arrays are columns of strings."""
    return arrow.table(
        {
            name: arrow.array(
                np.ma.getdata(values),
                type=arrow.string() if values.dtype == np.object_ else None,
                mask=np.ma.getmaskarray(values) if np.ma.isMaskedArray(values) else None,
            )
            for name, values in part.items()
        }
    )


def _pyarrow(out: Path, module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise WrongUse(
            f"{out}: Parquet needs pyarrow, which cannot be imported ({error}): "
            "pip install -e '.[parquet]' -c constraints.txt, or export to FILE.csv"
        ) from None
