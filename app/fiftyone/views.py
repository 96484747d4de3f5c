"""The saved views of a field: which labels each holds, decided here without FiftyOne. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from app.fiftyone.numbers import ON_AN_OBJECT
from app.fiftyone.request import GROUND_TRUTH, LabelField, short
from lab.datasets.records import ErrorKind

Test = Literal["is", "at least", "below", "exists"]
KINDS = (ErrorKind.COR, ErrorKind.LOC, ErrorKind.SIM, ErrorKind.OTH, ErrorKind.BG)
MEANINGS = {
    ErrorKind.COR: "right class, mask IoU at least 0.5",
    ErrorKind.LOC: "right class, mask IoU from 0.1 to 0.5",
    ErrorKind.SIM: "the object is of a look-alike class",
    ErrorKind.OTH: "the object is of another class",
    ErrorKind.BG: "no object there",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One test of an attribute; a label that has no such attribute passes `below` alone."""

    attribute: str
    test: Test
    value: Any = None


ON_SOMETHING = tuple(Condition("kind", "is", name) for name in ON_AN_OBJECT)


@dataclass(frozen=True, slots=True)
class ViewPlan:
    """One view: the labels of a field that pass every condition, on their images or cut out."""

    name: str
    field: str
    about: str
    conditions: tuple[Condition, ...]
    any_of: tuple[Condition, ...] = ()
    """One of these has to hold, too; none = nothing more is asked."""
    sort: str | None = None
    """An attribute by which cut-outs are sorted."""
    descending: bool = False
    as_patches: bool = False


def standing_views(field: LabelField) -> list[ViewPlan]:
    """The views that every field has: by kind, missed, and the two ends of quality."""
    kept = Condition("kept", "is", True)
    views = [kind_view(field.name, kind, patches) for kind in KINDS for patches in (False, True)]
    missed = (Condition(field.eval_key, "is", "fn"),)
    quality = "mask_quality" if field.source == "pseudo" else "score"
    about = "objects that no kept label finds"
    return [
        *views,
        ViewPlan(f"{field.name}: Missed", GROUND_TRUTH, about, missed),
        ViewPlan(f"{field.name}: Missed, cut out", GROUND_TRUTH, about, missed, as_patches=True),
        ViewPlan(
            f"{field.name}: right, worst quality first",
            field.name,
            "right labels, the least trusted first, kept or not",
            (Condition("kind", "is", "Cor"),),
            sort=quality,
            as_patches=True,
        ),
        ViewPlan(
            f"{field.name}: wrong, best quality first",
            field.name,
            "kept labels that are wrong, the most trusted first",
            (kept,),
            any_of=tuple(Condition("kind", "is", name) for name in ("Loc", "Sim", "Oth", "BG")),
            sort=quality,
            descending=True,
            as_patches=True,
        ),
        ViewPlan(
            f"{field.name}: dropped but right",
            field.name,
            "right labels that a threshold threw away",
            (Condition("kind", "is", "Cor"), Condition("kept", "is", False)),
            as_patches=True,
        ),
    ]


def kind_view(
    field: str, kind: ErrorKind, as_patches: bool = False, *, kept_only: bool = True
) -> ViewPlan:
    """The labels of one kind; of the kept ones unless all are asked for."""
    name = "BG" if kind is ErrorKind.BG else kind.name.title()
    conditions = (Condition("kind", "is", name),)
    if kept_only:
        conditions = (*conditions, Condition("kept", "is", True))
    title = (
        f"{field}: {name}" + ("" if kept_only else ", all") + (", cut out" if as_patches else "")
    )
    return ViewPlan(title, field, MEANINGS[kind], conditions, as_patches=as_patches)


def confusion_view(field: str, predicted: str, true: str | None) -> ViewPlan:
    """Kept labels of one class whose object is of another; None = that lie on no object."""
    conditions = (Condition("kept", "is", True), Condition("label", "is", predicted))
    if true is None:
        conditions = (*conditions, Condition("kind", "is", "BG"))
    else:
        conditions = (*conditions, Condition("gt_class", "is", true))
    about = f"kept as {short(predicted)}, but {short(true or 'nothing')} is there"
    return ViewPlan(
        f"{field}: {short(predicted)} for {short(true or 'nothing')}",
        field,
        about,
        conditions,
        any_of=() if true is None else ON_SOMETHING,
        as_patches=True,
    )


def moving_views(
    field: str, bars: Mapping[str, float], min_area: float
) -> tuple[ViewPlan, ViewPlan]:
    """What would be kept that is not, and what is kept that would not be.

    Args:
        bars: thresholds by score; a score on its threshold is let in.
        min_area: masks of this many pixels or fewer are never kept.
    """
    words = " and ".join(f"{name} ≥ {bar:.4g}" for name, bar in bars.items())
    recorded = {name: float(np.float32(bar)) for name, bar in bars.items()}  # as labels are
    passes = tuple(Condition(name, "at least", bar) for name, bar in recorded.items())
    fails = tuple(Condition(name, "below", bar) for name, bar in recorded.items())
    large = Condition("area", "at least", min_area + 1)
    return (
        ViewPlan(
            f"{field}: enters at these thresholds",
            field,
            f"dropped, and would be kept with {words}",
            (Condition("kept", "is", False), large, *passes),
            as_patches=True,
        ),
        ViewPlan(
            f"{field}: leaves at these thresholds",
            field,
            f"kept, and would be dropped with {words}",
            (Condition("kept", "is", True),),
            any_of=fails,
            as_patches=True,
        ),
    )


def holds(condition: Condition, label: Mapping[str, Any]) -> bool:
    """The same in plain Python, for counting and for tests."""
    value = label.get(condition.attribute)
    match condition.test:
        case "is":
            return value == condition.value
        case "at least":
            return value is not None and value >= condition.value
        case "below":
            return value is None or value < condition.value
        case "exists":
            return value is not None


def chosen(plan: ViewPlan, label: Mapping[str, Any]) -> bool:
    """Whether a view holds a label."""
    every = all(holds(one, label) for one in plan.conditions)
    return every and (not plan.any_of or any(holds(one, label) for one in plan.any_of))
