"""/lab/runs/{run}/labels and /images: the pseudo-labels one asks for, and one image in full."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import Field

from app.answers import answer
from app.label_entries import image_entry, label_entries, truth_entry
from app.label_pages import page_of_labels
from app.probe_pairs import probe_pair
from app.questions import ImageId, Question, Span, Whole
from app.selections import Selection, find_selection
from app.window import StepWindow, choose_window
from lab.datasets.records import DropRule, ErrorKind, LabelSource
from lab.store.queries import LabelFilter, find_labels, get_run, image_record, label_steps
from lab.store.store import Store

LABELS_OF_ONE_IMAGE = 1_000
LAST_PAGE = 1_000_000_000

Area = Annotated[float, Field(ge=0, allow_inf_nan=False)]

Member = TypeVar("Member", ErrorKind, DropRule)


class LabelQuestion(Question):
    """Query parameters of a page of labels; every one of them narrows."""

    it: Whole | None = None
    """Step; None = the latest recorded."""
    span: Span = 1
    """Steps the window covers, ending at `it`; 0 = everything up to it."""
    cls: Whole | None = None
    image: Whole | None = None
    kind: list[str] = Field(default_factory=list)
    rule: list[str] = Field(default_factory=list)
    kept: bool | None = None
    changed: bool | None = None
    before: Whole | None = None
    """Class before correction."""
    duplicate: bool | None = None
    truth: Whole | None = None
    """Class of the true object a label lies on; -1 = it lies on nothing."""
    min_area: Area | None = None
    max_area: Area | None = None
    """Mask pixels, both ends included."""
    range: list[str] = Field(default_factory=list)
    """column:low:high, both ends included, either may be empty, neither infinite."""
    selection: Whole | None = None
    """Id of labels that somebody picked out; steps do not narrow it."""
    sort: str = "mask_quality"
    desc: bool = False
    size: Annotated[int, Field(ge=1, le=120)] = 24
    pg: Annotated[int, Field(ge=1, le=LAST_PAGE)] = 1


class ProbeQuestion(Question):
    """Query parameters of teacher beside student: the step, or near which."""

    it: Whole


class ImageQuestion(Question):
    """Query parameters of one image: the step, and whose labels of it."""

    it: Whole
    source: LabelSource = LabelSource.PSEUDO


def router(root: Path) -> APIRouter:
    """The routes over the store in `root`; each request opens it read-only and closes it."""
    routes = APIRouter(prefix="/lab")

    @routes.get("/runs/{key}/labels")
    def labels(request: Request, key: str, question: Annotated[LabelQuestion, Query()]) -> Response:
        with Store.open(root, read_only=True) as store:
            return answer(request, label_page(store, get_run(store, key).run_id, question))

    @routes.get("/runs/{key}/images/{image_id}")
    def image(
        request: Request,
        key: str,
        image_id: ImageId,
        question: Annotated[ImageQuestion, Query()],
    ) -> Response:
        with Store.open(root, read_only=True) as store:
            run_id = get_run(store, key).run_id
            return answer(
                request, whole_image(store, run_id, image_id, question.it, question.source)
            )

    @routes.get("/runs/{key}/images/{image_id}/probes")
    def probes(
        request: Request,
        key: str,
        image_id: ImageId,
        question: Annotated[ProbeQuestion, Query()],
    ) -> Response:
        with Store.open(root, read_only=True) as store:
            run_id = get_run(store, key).run_id
            return answer(request, probe_pair(store, run_id, image_id, question.it))

    return routes


def label_page(store: Store, run_id: str, question: LabelQuestion) -> dict[str, Any]:
    """One page of labels with masks, the sizes of their images, and how many there are in all."""
    picked = picked_labels(store, run_id, question)
    step, span = (question.it, question.span) if picked is None else (None, 0)
    window = choose_window(label_steps(store, run_id, LabelSource.PSEUDO), step, span)
    name = None if picked is None else picked.name
    if window is None:
        return {"total": 0, "window": None, "selection": name, "rows": [], "images": {}}
    try:
        wanted = label_filter(question, window)
        if picked is not None:
            wanted = replace(wanted, label_ids=picked.label_ids)
        page = page_of_labels(
            store,
            run_id,
            wanted,
            sort=question.sort,
            descending=question.desc,
            limit=question.size,
            offset=(question.pg - 1) * question.size,
        )
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    rows, images = label_entries(store, run_id, page.rows)
    return {
        "total": page.total,
        "window": window,
        "selection": name,
        "rows": rows,
        "images": images,
    }


def picked_labels(store: Store, run_id: str, question: LabelQuestion) -> Selection | None:
    """The selection in question, if one is.

    Raises:
        HTTPException: 422, naming a selection that the run has not.
    """
    if question.selection is None:
        return None
    try:
        return find_selection(store, run_id, question.selection)
    except ValueError as error:
        raise HTTPException(422, str(error)) from None


def label_filter(question: LabelQuestion, window: StepWindow) -> LabelFilter:
    """The store's filter for a question.

    Raises:
        HTTPException: 422, naming the parameter and the value that make no sense.
    """
    return LabelFilter(
        source=LabelSource.PSEUDO,
        first_step=window.first,
        last_step=window.last,
        image_id=question.image,
        label=question.cls,
        kinds=named(ErrorKind, "kind", question.kind),
        rules=named(DropRule, "rule", question.rule),
        kept=question.kept,
        changed_class=question.changed,
        label_before=question.before,
        min_area=question.min_area,
        max_area=question.max_area,
        duplicate=question.duplicate,
        true_label=question.truth,
        ranges=dict(parse_range(text) for text in question.range),
    )


def named(enum: type[Member], parameter: str, names: Sequence[str]) -> tuple[Member, ...] | None:
    """Members by lower-case name; none given = no filter."""
    members = {member.name.lower(): member for member in enum}
    for name in names:
        if name not in members:
            choices = ", ".join(members)
            raise HTTPException(422, f"{parameter}={name}: expected one of {choices}")
    return tuple(members[name] for name in names) or None


def parse_range(text: str) -> tuple[str, tuple[float | None, float | None]]:
    """ "mask_quality:0.5:" -> ("mask_quality", (0.5, None))."""
    try:
        column, low, high = text.split(":")
        return column, (_bound(low), _bound(high))
    except ValueError:
        raise HTTPException(
            422, f"range={text}: expected column:low:high with finite numbers"
        ) from None


def _bound(text: str) -> float | None:
    """A finite number; nothing is no bound. Raises ValueError."""
    value = float(text) if text else None
    if value is not None and not math.isfinite(value):
        raise ValueError(text)
    return value


def whole_image(
    store: Store, run_id: str, image_id: int, step: int, source: LabelSource
) -> dict[str, Any]:
    """One image with every label of one step and its truth, best mask quality first."""
    wanted = LabelFilter(source=source, first_step=step, last_step=step, image_id=image_id)
    page = find_labels(
        store, run_id, wanted, sort="score", descending=True, limit=LABELS_OF_ONE_IMAGE
    )
    labels, _ = label_entries(store, run_id, page.rows)
    record = image_record(store, run_id, image_id)
    return {
        "image": image_entry(record),
        "step": step,
        "seen": labels[0]["seen"] if labels else None,
        "labels": labels,
        "truth": [truth_entry(annotation) for annotation in record.annotations],
    }
