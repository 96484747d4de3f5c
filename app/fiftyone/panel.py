"""The panel of our plugin: the breakdown of a field, and sliders over its thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from app.fiftyone.actions import Rules, rules_of
from app.fiftyone.cells import Cells, cells_of
from app.fiftyone.colours import KIND_COLOURS
from app.fiftyone.forms import NOT_OURS, NOTHING, Context, add_fields, add_slider, request_of
from app.fiftyone.numbers import SHOWN, Kept, kept_by, kept_by_run, labels_of
from app.fiftyone.operators import open_view
from app.fiftyone.request import LabelField, short
from app.fiftyone.views import confusion_view, kind_view, moving_views
from lab.datasets.records import ErrorKind

MOST_CLASSES = 12
"""Rows of the matrix of classes."""
KINDS = dict(
    zip(
        SHOWN,
        (ErrorKind.COR, ErrorKind.LOC, ErrorKind.SIM, ErrorKind.OTH, ErrorKind.BG),
        strict=True,
    )
)


class Breakdown(foo.Panel):
    """What is right and wrong; a bar opens its labels, sliders say what others would do."""

    @property
    def config(self) -> foo.PanelConfig:
        return foo.PanelConfig(name="breakdown", label="seglab: errors", surfaces="grid")

    def on_load(self, ctx: Context) -> None:
        request = request_of(ctx)
        if request is not None:
            ctx.panel.set_state("field", request.fields[0].name)
            self.on_field(ctx)

    def on_change_dataset(self, ctx: Context) -> None:
        self.on_load(ctx)

    def on_field(self, ctx: Context) -> None:
        """Another field: the sliders go to the thresholds of its run, if that is another one."""
        field, rules = self.chosen(ctx)
        if ctx.panel.get_state("run") != field.run_id:
            ctx.panel.set_state("run", field.run_id)
            for one in rules.sliders:
                ctx.panel.set_state(one.column, one.value)
        self.count_all(ctx)

    def count_all(self, ctx: Context) -> None:
        """The breakdown and the matrix of the field."""
        self.count(ctx)
        names, trace = cell_trace(cells_of(ctx.dataset, self.chosen(ctx)[0].name))
        ctx.panel.set_state("cell_names", names)
        ctx.panel.set_data("cells", [trace])

    def count(self, ctx: Context) -> None:
        """Count the whole dataset's labels, whatever view is open."""
        field, rules = self.chosen(ctx)
        names = tuple(one.column for one in rules.sliders)
        labels = labels_of(ctx.dataset, field.name, names)
        bars = self.bars(ctx, rules)
        now, then = kept_by_run(labels), kept_by(labels, bars, rules.min_area)
        ctx.panel.set_data("bars", [bar_trace("kept", now), bar_trace("at these thresholds", then)])
        ctx.panel.set_state("words", in_words(now, then))

    def on_click(self, ctx: Context) -> None:
        """A bar was clicked: show its labels."""
        kind = KINDS.get(ctx.params.get("x", ""))
        if kind is not None:
            field, _ = self.chosen(ctx)
            open_view(ctx, kind_view(field.name, kind, as_patches=True))

    def on_cell(self, ctx: Context) -> None:
        """A cell of the matrix was clicked: show its labels."""
        names = ctx.panel.get_state("cell_names") or []
        row, column = ctx.params["idx"]
        if row < len(names):
            true = names[column] if column < len(names) else None
            open_view(ctx, confusion_view(self.chosen(ctx)[0].name, names[row], true))

    def show_entering(self, ctx: Context) -> None:
        self.show_moving(ctx, 0)

    def show_leaving(self, ctx: Context) -> None:
        self.show_moving(ctx, 1)

    def show_moving(self, ctx: Context, side: int) -> None:
        field, rules = self.chosen(ctx)
        plans = moving_views(field.name, self.bars(ctx, rules), rules.min_area)
        open_view(ctx, plans[side])

    def chosen(self, ctx: Context) -> tuple[LabelField, Rules]:
        """The field that is looked at, and how its run keeps labels."""
        request = request_of(ctx)
        if request is None:
            raise ValueError("this dataset was not made by seglab")
        named = {field.name: field for field in request.fields}
        field = named.get(ctx.panel.get_state("field"), request.fields[0])
        return field, rules_of(Path(request.root), field.run_id)

    def bars(self, ctx: Context, rules: Rules) -> dict[str, float]:
        """Where the sliders are; at the run's own thresholds until somebody moves them."""
        moved = {one.column: ctx.panel.get_state(one.column) for one in rules.sliders}
        return {
            one.column: one.value if moved[one.column] is None else float(moved[one.column])
            for one in rules.sliders
        }

    def render(self, ctx: Context) -> types.Property:
        panel = types.Object()
        request = request_of(ctx)
        if request is None:
            panel.md(NOT_OURS, name="not_ours")
            return types.Property(panel)
        field, rules = self.chosen(ctx)
        add_fields(panel, request, field, "Labels", on_change=self.on_field)
        panel.md(ctx.panel.get_state("words") or "", name="words_shown")
        panel.plot(
            "bars", layout=BARS_LAYOUT, config=NO_BUTTONS, on_click=self.on_click, height=280
        )
        for one in rules.sliders:
            add_slider(panel, one.column, one.words, one.value, on_change=self.count)
        self.add_buttons(panel, field, self.bars(ctx, rules))
        panel.md("Kept labels by class, and what lies under them:", name="cells_words")
        panel.plot(
            "cells", layout=CELLS_LAYOUT, config=NO_BUTTONS, on_click=self.on_cell, height=420
        )
        return types.Property(panel)

    def add_buttons(
        self, panel: types.Object, field: LabelField, bars: Mapping[str, float]
    ) -> None:
        row = panel.h_stack("acts", gap=1)
        if bars:
            row.btn("entering", label="What enters", on_click=self.show_entering)
            row.btn("leaving", label="What leaves", on_click=self.show_leaving)
            row.btn(
                "relaunch",
                label="Re-launch …",
                on_click="@seglab/errors/relaunch",
                prompt=True,
                params={"field": field.name, **bars},
            )
        row.btn("refresh", label="Refresh", on_click="@seglab/errors/refresh")


def bar_trace(name: str, kept: Kept) -> dict[str, Any]:
    """Bars of one set of labels in the colours of the kinds: outlines are what the run kept."""
    colours = [KIND_COLOURS[kind] for kind in SHOWN]
    inside = ["rgba(0, 0, 0, 0)"] * len(SHOWN) if name == "kept" else colours
    return {
        "type": "bar",
        "name": name,
        "x": list(SHOWN),
        "y": [kept.kinds[kind] for kind in SHOWN],
        "ids": list(SHOWN),
        "marker": {"color": inside, "line": {"color": colours, "width": 2}},
    }


def in_words(now: Kept, then: Kept) -> str:
    return (
        f"kept {now.labels} (precision {now.precision:.2f}); at these thresholds {then.labels} "
        f"({then.precision:.2f}): {then.enters} enter, {then.leaves} leave"
    )


NO_BUTTONS = {"displayModeBar": False}
"""Plotly's own would lie over the legend and the first classes."""
BARS_LAYOUT = {
    "barmode": "group",
    "margin": {"t": 10, "b": 30},
    "yaxis": {"title": {"text": "labels"}},
    "showlegend": True,
    "legend": {"x": 1, "xanchor": "right", "y": 1},
}
CELLS_LAYOUT = {
    "margin": {"t": 10, "b": 90, "l": 110},
    "xaxis": {"title": {"text": "lies on"}, "type": "category", "tickangle": -45},
    "yaxis": {
        "title": {"text": "kept as", "standoff": 12},
        "type": "category",
        "autorange": "reversed",
    },
}


def cell_trace(cells: Cells) -> tuple[list[str], dict[str, Any]]:
    """Names of the rows, and the matrix; its last column is background, right ones are blank."""
    names, found = cells.square(MOST_CLASSES)
    rows = [names[one] for one in found.labels.tolist()]
    ticks = [short(name, 20) for name in rows]
    if len(set(ticks)) < len(ticks):  # two long names that begin alike
        ticks = [f"{number}: {tick}" for number, tick in enumerate(ticks)]
    numbers = [
        [None if row == column or not count else count for column, count in enumerate(counts)]
        for row, counts in enumerate(found.counts.tolist())
    ]
    return rows, {
        "type": "heatmap",
        "x": [*ticks, NOTHING],
        "y": ticks,
        "z": numbers,
        "colorscale": [[0, "#33291f"], [1, "#a87900"]],
        "texttemplate": "%{z}",
        "showscale": False,
        "hovertemplate": "kept as %{y}, lies on %{x}: %{z}<extra></extra>",
    }
