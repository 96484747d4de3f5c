"""What verbs print: honest about missing numbers, and data never becomes markup."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from app.commands.terminal import as_json, duration, number, percent, say_table
from lab.datasets.records import ErrorKind


@dataclass(frozen=True)
class Sample:
    path: Path
    score: float
    kinds: dict[ErrorKind, int]
    steps: np.ndarray


def test_json_of_a_row_has_null_for_nan_and_lists_for_arrays():
    sample = Sample(Path("a/b"), float("nan"), {ErrorKind.COR: 2}, np.array([1, 2]))

    assert json.loads(as_json(sample)) == {
        "path": "a/b",
        "score": None,
        "kinds": {"1": 2},
        "steps": [1, 2],
    }


def test_what_has_no_json_form_is_an_error():
    with pytest.raises(Exception, match="object has no JSON form"):
        as_json({"x": object()})


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "-"), (float("nan"), "-"), (0.0, "0.0"), (36.55, "36.5")]
)
def test_a_number_that_is_not_there_is_a_dash(value: float | None, shown: str):
    assert number(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(None, "-"), (0.5, "50.0 %"), (1.0, "100.0 %")])
def test_a_share_is_shown_as_per_cent(value: float | None, shown: str):
    assert percent(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "-"), (0.2, "0 s"), (59.6, "1 min 00 s"), (65, "1 min 05 s"), (3725, "1 h 02 min")],
)
def test_a_duration_is_in_words(seconds: float | None, shown: str):
    assert duration(seconds) == shown


def test_names_from_data_are_never_markup(capsys: pytest.CaptureFixture[str]):
    say_table(("[bold]class[/bold]", "n"), [("[red]cat[/red] :smile:", 3)])

    printed = capsys.readouterr().out
    assert "[red]cat[/red] :smile:" in printed
    assert "[bold]class[/bold]" in printed
