"""Views as FiftyOne has them: built from their plans, and saved in a dataset."""

from __future__ import annotations

import json
from functools import reduce
from operator import and_, or_
from typing import Any

import fiftyone as fo
from fiftyone import ViewField as F
from fiftyone.core.utils import to_slug

from app.fiftyone.dataset import Dataset
from app.fiftyone.request import GROUND_TRUTH, Request, eval_key
from app.fiftyone.views import Condition, ViewPlan, standing_views


def build_view(dataset: Dataset, plan: ViewPlan) -> Any:
    """The labels of a plan, on their images or cut out: FiftyOne collects cut-outs at once.

    On images the truth is there, too, but for the objects that a kept label lies on by half, right
    or wrong: masks of both would lie on each other and hide the label's colour.
    """
    wanted: Any = reduce(and_, (expression(one) for one in plan.conditions))
    if plan.any_of:
        wanted &= reduce(or_, (expression(one) for one in plan.any_of))
    view = dataset.filter_labels(plan.field, wanted)
    if not plan.as_patches:
        if plan.field != GROUND_TRUTH:
            key = eval_key(plan.field)
            alone = (F(key) == "fn") & ~F(f"{key}_id").exists()
            view = view.filter_labels(GROUND_TRUTH, alone, only_matches=False)
        return view.select_fields(["image_id", "lab", plan.field, GROUND_TRUTH])
    patches = view.to_patches(plan.field, other_fields=["image_id", "lab"])
    if plan.sort is None:
        return patches
    return patches.sort_by(f"{plan.field}.{plan.sort}", reverse=plan.descending)


def expression(condition: Condition) -> Any:
    """A condition as FiftyOne asks it of a label."""
    attribute: Any = F(condition.attribute)
    match condition.test:
        case "is":
            return attribute == condition.value
        case "at least":
            return attribute >= condition.value
        case "below":
            return (attribute < condition.value) | ~attribute.exists()
        case "exists":
            return attribute.exists()


def save_standing_views(dataset: Dataset, request: Request) -> None:
    """The views that every field has; those that are there stay as they are."""
    there = {one.slug for one in dataset._doc.get_saved_views()}
    for field in request.fields:
        for plan in standing_views(field):
            if to_slug(plan.name) not in there:
                dataset.save_view(plan.name, build_view(dataset, plan), description=plan.about)


def forget_cut_outs(dataset: Dataset) -> None:
    """Let saved views collect their cut-outs anew when they are opened: labels have changed.

    FiftyOne keeps the cut-outs of a saved view as a dataset beside this one, for ever.
    """
    for saved in dataset._doc.get_saved_views():
        for stage in saved.view_stages:
            parameters = dict(json.loads(stage)["kwargs"])
            name = (parameters.get("_state") or {}).get("name")
            if name is not None and fo.dataset_exists(name):
                fo.delete_dataset(name)
