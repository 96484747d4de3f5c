"""The operators of our plugin: re-launch, refresh, hand a selection back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from app.fiftyone.actions import Rules, changes_of, relaunch, remember_selection, rules_of
from app.fiftyone.dataset import recorded_request
from app.fiftyone.request import LabelField, Request
from app.selections import labels_page
from lab.config import ConfigError
from lab.store.errors import StoreError
from lab.store.store import Store

Context = Any
REFUSALS = (ValueError, StoreError, ConfigError)
"""What is told to whoever pressed the button; anything else is a bug and shown as one."""


def request_of(ctx: Context) -> Request | None:
    """What the open dataset shows; None when it is not one of ours."""
    return None if ctx.dataset is None else recorded_request(ctx.dataset)


def rules_here(request: Request) -> Rules:
    return rules_of(Path(request.root), request.run_id)


def form(title: str, inputs: types.Object) -> types.Property:
    return types.Property(inputs, view=types.View(label=title))


def not_ours(title: str) -> types.Property:
    """The form of an operator where there is nothing for it to do."""
    inputs = types.Object()
    inputs.message("not_ours", label="This dataset was not made by seglab.")
    return form(title, inputs)


class Relaunch(foo.Operator):
    """Fork the run, or start it anew, with thresholds set here."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="relaunch", label="seglab: re-launch with these thresholds", icon="replay"
        )

    def resolve_input(self, ctx: Context) -> types.Property:
        request = request_of(ctx)
        if request is None:
            return not_ours("Re-launch")
        rules = rules_here(request)
        inputs = types.Object()
        for one in rules.sliders:
            add_slider(inputs, one.column, one.words, one.value)
        how = types.RadioGroup()
        if rules.steps:
            how.add_choice("fork", label=f"Fork: go on from step {rules.steps[-1]}")
        how.add_choice("new", label="New run from the beginning")
        default = "fork" if rules.steps else "new"
        inputs.enum("how", how.values(), label="How", default=default, view=how, required=True)
        about = "Start a worker in the background if this machine has none"
        inputs.bool("worker", label=about, default=True)
        return form("Re-launch with these thresholds", inputs)

    def execute(self, ctx: Context) -> dict[str, Any]:
        request = request_of(ctx)
        if request is None:
            return {"said": "This dataset was not made by seglab."}
        rules = rules_here(request)
        bars = {one.column: float(ctx.params.get(one.column, one.value)) for one in rules.sliders}
        try:
            run_id = relaunch(
                Path(request.root),
                request.run_id,
                changes_of(rules, bars),
                ctx.params["how"],
                with_worker=ctx.params.get("worker", True),
            )
        except REFUSALS as error:
            return {"said": str(error)}
        return {"said": f"Queued as run {run_id}.", "run_id": run_id}

    def resolve_output(self, ctx: Context) -> Any:  # noqa: ARG002 - FiftyOne passes it
        return said("Re-launch")


class Refresh(foo.Operator):
    """Bring the dataset up to date with a run that is still going."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="refresh", label="seglab: refresh from the run", icon="refresh"
        )

    def execute(self, ctx: Context) -> dict[str, Any]:
        from app.fiftyone.showing import show

        request = request_of(ctx)
        if request is None:
            return {"said": "This dataset was not made by seglab."}
        try:
            with Store.open(Path(request.root), read_only=True) as store:
                filled, _ = show(store, request)
        except REFUSALS as error:
            return {"said": str(error)}
        ctx.trigger("reload_dataset")
        new = ", ".join(f"{name}: {count} images" for name, count in filled.written.items())
        return {"said": f"New labels: {new}.", "written": dict(filled.written)}

    def resolve_output(self, ctx: Context) -> Any:  # noqa: ARG002 - FiftyOne passes it
        return said("Refresh")


class SendSelection(foo.Operator):
    """Hand the selected labels back to the lab under a name."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(name="send_selection", label="seglab: send selection to the lab")

    def resolve_input(self, ctx: Context) -> types.Property:
        if request_of(ctx) is None:
            return not_ours("Send selection")
        inputs = types.Object()
        count = len(ctx.selected_labels)
        inputs.str("name", label=f"Name of the selection ({count} labels)", required=True)
        return form("Send selection to the lab", inputs)

    def execute(self, ctx: Context) -> dict[str, Any]:
        request = request_of(ctx)
        if request is None:
            return {"said": "This dataset was not made by seglab."}
        chosen = {
            field: selected_ids(ctx.dataset, field, ctx.selected_labels) for field in request.fields
        }
        try:
            if not any(chosen.values()):
                raise ValueError("no label is selected")
            name = ctx.params.get("name") or ""
            pages = [remember(request, field, ids, name) for field, ids in chosen.items() if ids]
        except REFUSALS as error:
            return {"said": str(error)}
        return {"said": f"{sum(map(len, chosen.values()))} labels: {' '.join(pages)}"}

    def resolve_output(self, ctx: Context) -> Any:  # noqa: ARG002 - FiftyOne passes it
        return said("Send selection to the lab")


def remember(request: Request, field: LabelField, ids: list[int], name: str) -> str:
    """Write down a selection; returns the address of the dashboard's page of it."""
    selection_id = remember_selection(Path(request.root), field.run_id, ids, name)
    return request.dashboard + labels_page(field.run_id, selection_id)


def selected_ids(dataset: Any, field: LabelField, selected: list[dict[str, Any]]) -> list[int]:
    """Ids in the store of the selected labels of one field."""
    ids = [one["label_id"] for one in selected if one["field"] == field.name]
    if not ids or field.source != "pseudo":
        return []
    view = dataset.select_labels(ids=ids, fields=field.name)
    return view.values(f"{field.name}.detections.label_id", unwind=True)


def add_slider(inputs: types.Object, name: str, words: str, value: float, **more: Any) -> None:
    """A slider from 0 to 1."""
    view = types.SliderView(componentsProps={"slider": {"min": 0, "max": 1, "step": 0.01}})
    inputs.float(name, min=0, max=1, label=words, default=value, view=view, **more)


def said(title: str) -> types.Property:
    outputs = types.Object()
    outputs.str("said", label=title)
    return types.Property(outputs, view=types.View(label=title))
