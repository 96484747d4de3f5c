"""The panel of our plugin: the breakdown of a field, and sliders over its thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from app.fiftyone.actions import Rules, rules_of
from app.fiftyone.colours import KIND_COLOURS
from app.fiftyone.numbers import SHOWN, Kept, kept_by, kept_by_run, labels_of
from app.fiftyone.operators import add_slider, request_of
from app.fiftyone.request import LabelField
from app.fiftyone.saved_views import build_view
from app.fiftyone.views import kind_view, moving_views
from lab.datasets.records import ErrorKind

Context = Any
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
            self.count(ctx)

    def on_change_dataset(self, ctx: Context) -> None:
        self.on_load(ctx)

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
            ctx.ops.set_view(build_view(ctx.dataset, kind_view(field.name, kind, as_patches=True)))

    def show_entering(self, ctx: Context) -> None:
        self.show_moving(ctx, 0)

    def show_leaving(self, ctx: Context) -> None:
        self.show_moving(ctx, 1)

    def show_moving(self, ctx: Context, side: int) -> None:
        field, rules = self.chosen(ctx)
        plans = moving_views(field.name, self.bars(ctx, rules), rules.min_area)
        ctx.ops.set_view(build_view(ctx.dataset, plans[side]))

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
            panel.md("This dataset was not made by seglab.", name="not_ours")
            return types.Property(panel)
        field, rules = self.chosen(ctx)
        names = types.DropdownView()
        for one in request.fields:
            names.add_choice(one.name, label=one.name)
        panel.enum(
            "field",
            names.values(),
            label="Labels",
            default=field.name,
            view=names,
            on_change=self.count,
        )
        panel.md(ctx.panel.get_state("words") or "", name="words_shown")
        layout = {"barmode": "group", "margin": {"t": 10, "b": 30}, "yaxis": {"title": "labels"}}
        panel.plot("bars", layout=layout, on_click=self.on_click, height=300)
        for one in rules.sliders:
            add_slider(panel, one.column, one.words, one.value, on_change=self.count)
        if rules.sliders:
            panel.btn("entering", label="Show what enters", on_click=self.show_entering)
            panel.btn("leaving", label="Show what leaves", on_click=self.show_leaving)
            panel.btn(
                "relaunch", label="Re-launch …", on_click="@seglab/errors/relaunch", prompt=True
            )
        panel.btn("refresh", label="Refresh from the run", on_click="@seglab/errors/refresh")
        return types.Property(panel)


def bar_trace(name: str, kept: Kept) -> dict[str, Any]:
    """Bars of one set of labels, in the colours of the kinds."""
    faint = 0.45 if name == "kept" else 1.0
    return {
        "type": "bar",
        "name": name,
        "x": list(SHOWN),
        "y": [kept.kinds[kind] for kind in SHOWN],
        "ids": list(SHOWN),
        "marker": {"color": [KIND_COLOURS[kind] for kind in SHOWN], "opacity": faint},
    }


def in_words(now: Kept, then: Kept) -> str:
    return (
        f"kept {now.labels} (precision {now.precision:.2f}); at these thresholds {then.labels} "
        f"({then.precision:.2f}): {then.enters} enter, {then.leaves} leave"
    )
