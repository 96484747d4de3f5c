"""GET /seglab/open on the App's server: from our pages to a view or a sample, made when asked for.

An address of FiftyOne's own can only name a view that is saved already, and a sample by its id.
This one names what our pages know, saves the view, and leads there:

    ?dataset=D                                            the whole dataset
    ?dataset=D&image=17                                   one image, opened
    ?dataset=D&kind=sim                                   kept labels of a kind
    ?dataset=D&called=cat&lies_on=dog                     one cell; without lies_on: on nothing
    ?dataset=D&moving=enters&bars=mask_quality:0.7,...    what other thresholds change

`&field=F` chooses among several fields of labels; the first otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.fiftyone.actions import rules_of
from app.fiftyone.documents import sample_id
from app.fiftyone.request import LabelField, Request
from app.fiftyone.views import KINDS, ViewPlan, confusion_view, kind_view, moving_views
from app.label_scores import BY_NAME


class WrongAddress(ValueError):
    """The address names nothing that can be opened; the message says what there is instead."""


class Wish(BaseModel):
    """What an address asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    field: str | None = None
    image: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    kind: str | None = None
    called: str | None = None
    lies_on: str | None = None
    moving: Literal["enters", "leaves"] | None = None
    bars: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """Where a wish leads: to a sample, to a view that has to be saved first, or to everything."""

    sample: str | None = None
    plan: ViewPlan | None = None


def read_wish(parameters: dict[str, str]) -> Wish:
    """Raises WrongAddress for what cannot be asked."""
    try:
        return Wish(**parameters)  # pyright: ignore[reportArgumentType] - pydantic reads the text
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "address"
        raise WrongAddress(f"{key}={parameters.get(key, '')}: {first['msg']}") from None


def find_way(wish: Wish, request: Request) -> Way:
    """Where a wish leads in the dataset of a request.

    Raises:
        WrongAddress: no such field, kind or threshold.
    """
    field = field_named(wish.field, request)
    if wish.image is not None:
        return Way(sample=str(sample_id(request.dataset, wish.image)))
    if wish.kind is not None:
        return Way(plan=plan_of_kind(field, wish.kind))
    if wish.called is not None:
        return Way(plan=confusion_view(field.name, wish.called, wish.lies_on))
    if wish.moving is not None:
        return Way(plan=plan_of_moving(field, wish, Path(request.root)))
    return Way()


def field_named(name: str | None, request: Request) -> LabelField:
    """Raises WrongAddress."""
    if name is None:
        return request.fields[0]
    for field in request.fields:
        if field.name == name:
            return field
    there = ", ".join(field.name for field in request.fields)
    raise WrongAddress(f"field={name}: the dataset has {there}")


def plan_of_kind(field: LabelField, name: str) -> ViewPlan:
    for kind in KINDS:
        if kind.name.lower() == name:
            return kind_view(field.name, kind)
    raise WrongAddress(f"kind={name}: one of {', '.join(kind.name.lower() for kind in KINDS)}")


def plan_of_moving(field: LabelField, wish: Wish, root: Path) -> ViewPlan:
    """What the thresholds of the address let in or throw out; the run's own where it has none."""
    rules = rules_of(root, field.run_id)
    bars = read_bars(wish.bars) or {one.column: one.value for one in rules.sliders}
    if not bars:
        raise WrongAddress(f"moving={wish.moving}: the run has no thresholds; name some with bars=")
    enters, leaves = moving_views(field.name, bars, rules.min_area)
    return enters if wish.moving == "enters" else leaves


def read_bars(text: str) -> dict[str, float]:
    """ "mask_quality:0.7,class_quality:0.5" -> thresholds by score. Raises WrongAddress."""
    bars: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        score, _, value = part.partition(":")
        if score not in BY_NAME:
            raise WrongAddress(f"bars={text}: no score is called {score!r}")
        bars[score] = number_of(value, text)
    return bars


def number_of(text: str, whole: str) -> float:
    """A threshold in [0, 1]. Raises WrongAddress."""
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not 0 <= number <= 1:
        raise WrongAddress(f"bars={whole}: {text!r} is not a number from 0 to 1")
    return number


def page_of(slug: str, way: Way, view: str | None) -> str:
    """The path of FiftyOne's own page of it."""
    page = f"/datasets/{quote(slug)}"
    if way.sample is not None:
        return f"{page}?id={way.sample}"
    return page if view is None else f"{page}?view={quote(view)}"
