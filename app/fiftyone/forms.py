"""Parts of the forms that our operators and the panel show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fiftyone.operators import types

from app.fiftyone.dataset import recorded_request
from app.fiftyone.request import (
    LabelField,
    Request,
    short,
    words_of_fields,
    words_of_runs,
)

Context = Any
NOT_OURS = "This dataset was not made by seglab."
NOTHING = "(nothing)"
"""In place of a true class: labels on background."""


def request_of(ctx: Context) -> Request | None:
    """What the open dataset shows; None when it is not one of ours."""
    return None if ctx.dataset is None else recorded_request(ctx.dataset)


def field_of(ctx: Context, request: Request) -> LabelField:
    """The field that the form or the panel names, else the first."""
    named = {field.name: field for field in request.fields}
    return named.get(ctx.params.get("field", ""), request.fields[0])


def form(title: str, inputs: types.Object) -> types.Property:
    return types.Property(inputs, view=types.View(label=title))


def not_ours(title: str) -> types.Property:
    """The form of an operator where there is nothing for it to do."""
    inputs = types.Object()
    inputs.message("not_ours", label=NOT_OURS)
    return form(title, inputs)


def add_fields(
    inputs: types.Object, request: Request, field: LabelField, words: str, **more: Any
) -> None:
    """Which of the fields is meant, where there are several."""
    shown = words_of_fields(request.fields)
    if len(shown) > 1:
        add_choice(inputs, "field", words, shown, field.name, **more)


def add_runs(inputs: types.Object, request: Request, field: LabelField, words: str) -> None:
    """Which of the runs is meant, where there are several: each by one of its fields."""
    runs = words_of_runs(request.fields)
    if len(runs) > 1:
        first = {one.run_id: one.name for one in reversed(request.fields)}
        chosen = {**first, field.run_id: field.name}
        add_choice(inputs, "field", words, {chosen[one]: runs[one] for one in runs}, field.name)


def add_ways(inputs: types.Object, steps: tuple[int, ...], chosen: str | None) -> None:
    """From a checkpoint, and from which, or from nothing."""
    how = types.RadioGroup()
    if steps:
        how.add_choice("fork", label="Fork: go on from a checkpoint")
    how.add_choice("new", label="New run from the beginning")
    default = "fork" if steps else "new"
    inputs.enum("how", how.values(), label="How", default=default, view=how, required=True)
    if steps and chosen != "new":
        shown = {str(step): f"step {step:,}" for step in reversed(steps)}
        add_choice(inputs, "step", "Checkpoint to fork", shown, str(steps[-1]), required=False)


def add_choice(
    inputs: types.Object,
    name: str,
    words: str,
    shown: Mapping[str, str],
    default: str,
    **more: Any,
) -> None:
    """One of some values, by the words that are shown for each."""
    view = types.DropdownView()
    for value, text in shown.items():
        view.add_choice(value, label=text)
    inputs.enum(
        name, view.values(), label=words, default=default, view=view, **{"required": True, **more}
    )


def add_slider(inputs: types.Object, name: str, words: str, value: float, **more: Any) -> None:
    """A slider from 0 to 1."""
    slider = {"slider": {"min": 0, "max": 1, "step": 0.01}}
    view = types.SliderView(componentsProps=slider, value_precision=2, label_position="top")
    inputs.float(name, min=0, max=1, label=words, default=value, view=view, **more)


def said(title: str) -> types.Property:
    outputs = types.Object()
    outputs.str("said", label=title)
    return types.Property(outputs, view=types.View(label=title))


def with_numbers(counts: Mapping[str, int]) -> dict[str, str]:
    """The words of a choice of classes: each with how many labels it has."""
    return {name: f"{short(name)} ({number:,})" for name, number in counts.items()}
