"""The operators of our plugin: re-launch, refresh, open a cell, hand a selection back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from app.fiftyone.actions import changes_of, relaunch, remember_selection, rules_of
from app.fiftyone.asked_views import save_asked_view
from app.fiftyone.cells import cells_of
from app.fiftyone.forms import (
    NOT_OURS,
    NOTHING,
    Context,
    add_choice,
    add_fields,
    add_runs,
    add_slider,
    add_ways,
    field_of,
    form,
    not_ours,
    request_of,
    said,
    with_numbers,
)
from app.fiftyone.request import LabelField, Request, words_of_fields
from app.fiftyone.saved_views import build_view
from app.fiftyone.views import ViewPlan, confusion_view
from app.selections import labels_page
from lab.config import ConfigError
from lab.store.errors import StoreError
from lab.store.store import Store

REFUSALS = (ValueError, StoreError, ConfigError)
"""What is told to whoever pressed the button; anything else is a bug and shown as one."""
NOTHING_SELECTED = "No pseudo-label is selected: pick cut-outs, or labels of an opened image."


class Relaunch(foo.Operator):
    """Fork the run, or start it anew, with thresholds set here."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="relaunch",
            label="seglab: re-launch with these thresholds",
            icon="replay",
            dynamic=True,
        )

    def resolve_input(self, ctx: Context) -> types.Property:
        request = request_of(ctx)
        if request is None:
            return not_ours("Re-launch")
        field = field_of(ctx, request)
        rules = rules_of(Path(request.root), field.run_id)
        inputs = types.Object()
        add_runs(inputs, request, field, "Run")
        for one in rules.sliders:
            add_slider(inputs, one.column, one.words, ctx.params.get(one.column, one.value))
        add_ways(inputs, rules.steps, ctx.params.get("how"))
        about = "Start a worker in the background if this machine has none"
        inputs.bool("worker", label=about, default=True)
        return form("Re-launch with these thresholds", inputs)

    def execute(self, ctx: Context) -> dict[str, Any]:
        request = request_of(ctx)
        if request is None:
            return {"said": NOT_OURS}
        root, run_id = Path(request.root), field_of(ctx, request).run_id
        rules = rules_of(root, run_id)
        try:
            bars = {
                one.column: float(ctx.params.get(one.column, one.value)) for one in rules.sliders
            }
            step = ctx.params.get("step")
            child = relaunch(
                root,
                run_id,
                changes_of(rules, bars),
                ctx.params.get("how") or ("fork" if rules.steps else "new"),
                step=None if step is None else int(step),
                with_worker=ctx.params.get("worker", True),
            )
        except REFUSALS as error:
            return {"said": str(error)}
        page = f"{request.dashboard}/live?run={child}"
        return {"said": f"Queued as run {child}: {page}", "run_id": child}

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
            return {"said": NOT_OURS}
        try:
            with Store.open(Path(request.root), read_only=True) as store:
                filled, _ = show(store, request)
        except REFUSALS as error:
            return {"said": str(error)}
        ctx.trigger("reload_dataset")
        words = words_of_fields(request.fields)
        new = "; ".join(
            f"{words[name]} of {count} images" for name, count in filled.written.items()
        )
        return {"said": f"Written: {new}.", "written": dict(filled.written)}

    def resolve_output(self, ctx: Context) -> Any:  # noqa: ARG002 - FiftyOne passes it
        return said("Refresh")


class OpenCell(foo.Operator):
    """Show the kept labels of one class that lie on objects of another."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="open_cell",
            label="seglab: which class is taken for which",
            icon="grid_on",
            dynamic=True,
        )

    def resolve_input(self, ctx: Context) -> types.Property:
        request = request_of(ctx)
        if request is None:
            return not_ours("Which class is taken for which")
        field = field_of(ctx, request)
        cells = cells_of(ctx.dataset, field.name)
        inputs = types.Object()
        add_fields(inputs, request, field, "Labels")
        if not cells.counts:
            inputs.message("none", label="No kept label of it can be compared with truth.")
            return form("Which class is taken for which", inputs)
        called = cells.called()
        predicted = ctx.params.get("predicted")
        predicted = predicted if predicted in called else next(iter(called))
        lying = {true or NOTHING: number for true, number in cells.lying(predicted).items()}
        add_choice(inputs, "predicted", "Kept as", with_numbers(called), predicted)
        true = ctx.params.get("true")
        true = true if true in lying else next(iter(lying))
        add_choice(inputs, "true", "But it lies on", with_numbers(lying), true)
        return form("Which class is taken for which", inputs)

    def execute(self, ctx: Context) -> dict[str, Any]:
        request = request_of(ctx)
        if request is None or "true" not in ctx.params:
            return {}
        true = ctx.params["true"]
        plan = confusion_view(
            field_of(ctx, request).name, ctx.params["predicted"], None if true == NOTHING else true
        )
        open_view(ctx, plan)
        return {"view": plan.name}


def open_view(ctx: Context, plan: ViewPlan) -> None:
    """Save a view, so that it can be found and linked to again, and show it.

    The page learns of new names only when it is loaded again, so it is sent the view itself.
    """
    save_asked_view(ctx.dataset, plan)
    ctx.ops.set_view(build_view(ctx.dataset, plan))


class SendSelection(foo.Operator):
    """Hand the selected labels back to the lab under a name."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(name="send_selection", label="seglab: send selection to the lab")

    def resolve_input(self, ctx: Context) -> types.Property:
        request = request_of(ctx)
        if request is None:
            return not_ours("Send selection")
        inputs = types.Object()
        count = sum(len(selected_ids(ctx, field)) for field in request.fields)
        if count:
            inputs.str("name", label=f"Name of the selection ({count} labels)", required=True)
        else:
            inputs.message("none", label=NOTHING_SELECTED)
        return form("Send selection to the lab", inputs)

    def execute(self, ctx: Context) -> dict[str, Any]:
        request = request_of(ctx)
        if request is None:
            return {"said": NOT_OURS}
        chosen = {field: selected_ids(ctx, field) for field in request.fields}
        try:
            if not any(chosen.values()):
                raise ValueError(NOTHING_SELECTED)
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


def selected_ids(ctx: Context, field: LabelField) -> list[int]:
    """Ids in the store of the picked pseudo-labels of one field, on an image or cut out."""
    if field.source != "pseudo":
        return []
    ids = [one["label_id"] for one in ctx.selected_labels or () if one["field"] == field.name]
    if ids:
        view = ctx.dataset.select_labels(ids=ids, fields=field.name)
        return view.values(f"{field.name}.detections.label_id", unwind=True)
    if ctx.selected and ctx.view._is_patches and ctx.view.has_field(field.name):
        return ctx.view.select(ctx.selected).values(f"{field.name}.label_id")
    return []
