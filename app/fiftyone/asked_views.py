"""Views that somebody asked for by a link, a bar or a form: saved so that addresses lead to them.

The newest MOST_KEPT stay; older ones go. A view that somebody saved, renamed or described is
theirs: it is neither replaced nor removed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fiftyone.core.utils import to_slug

from app.fiftyone.dataset import INFO, Dataset, recorded_request
from app.fiftyone.saved_views import build_view
from app.fiftyone.views import ViewPlan, standing_views

ASKED = "asked_views"
"""Where `dataset.info` lists them, the newest first."""
MOST_KEPT = 8


@dataclass(frozen=True, slots=True)
class AskedView:
    """One that we saved, as it was then."""

    plan: str
    """The name that its plan has."""
    name: str
    """The name that it got."""
    view_id: str
    modified: str


def save_asked_view(dataset: Dataset, plan: ViewPlan) -> str:
    """Save a view in place of the same one asked for earlier; returns its name.

    A view that every field has is there already and is opened as it is.
    """
    if is_standing(dataset, plan.name) and dataset.has_saved_view(plan.name):
        return plan.name
    before = asked_views(dataset)
    same = next((one for one in before if one.plan == plan.name), None)
    name = free_name(dataset, plan.name) if same is None else same.name
    dataset.save_view(name, build_view(dataset, plan), description=plan.about, overwrite=True)
    newest = recorded(dataset, plan.name, name)
    others = [one for one in before if one is not same]
    remember(dataset, [newest, *others])
    return name


def is_standing(dataset: Dataset, name: str) -> bool:
    request = recorded_request(dataset)
    fields = () if request is None else request.fields
    return any(plan.name == name for field in fields for plan in standing_views(field))


def asked_views(dataset: Dataset) -> list[AskedView]:
    """Those of ours that are still as we saved them, the newest first."""
    there = {str(one.id): one for one in dataset._doc.get_saved_views()}
    listed = [AskedView(**one) for one in dataset.info.get(INFO, {}).get(ASKED, ())]
    return [
        one
        for one in listed
        if (saved := there.get(one.view_id)) is not None
        and (saved.name, stamp(saved)) == (one.name, one.modified)
    ]


def free_name(dataset: Dataset, name: str) -> str:
    """The name, or with a number where another view has it or one that reads the same in links."""
    taken = {one.slug for one in dataset._doc.get_saved_views()}
    number, candidate = 1, name
    while to_slug(candidate) in taken:
        number += 1
        candidate = f"{name} ({number})"
    return candidate


def recorded(dataset: Dataset, plan: str, name: str) -> AskedView:
    saved = next(one for one in dataset._doc.get_saved_views() if one.name == name)
    return AskedView(plan, name, str(saved.id), stamp(saved))


def remember(dataset: Dataset, views: list[AskedView]) -> None:
    """Write down the newest and remove the others."""
    for one in views[MOST_KEPT:]:
        dataset.delete_saved_view(one.name)
    dataset.info.setdefault(INFO, {})[ASKED] = [asdict(one) for one in views[:MOST_KEPT]]
    dataset.save()


def stamp(saved: Any) -> str:
    """When a view was changed last; milliseconds are what MongoDB keeps of it."""
    return saved.last_modified_at.isoformat(timespec="milliseconds")
