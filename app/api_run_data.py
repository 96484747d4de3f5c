"""/lab/runs/{run}/data: what a run's datasets hold, some images, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from app.answers import answer
from app.dataset_checks import CheckCache, FileName, declared_file, declared_files, file_entry
from app.dataset_facts import FactsCache, own_config, split_of
from app.label_entries import image_entry, truth_entry
from app.questions import Question
from lab.config import ShapesConfig
from lab.datasets.parts import PartName
from lab.store.queries import RunRow, get_run
from lab.store.run_datasets import images_by_id
from lab.store.store import Store

MOST_IMAGES = 48
LAST_PAGE = 1_000_000_000


class ImagesQuestion(Question):
    """Query parameters of example images: of which part, and which page of them."""

    part: PartName = "labeled"
    size: Annotated[int, Field(ge=1, le=MOST_IMAGES)] = 12
    pg: Annotated[int, Field(ge=1, le=LAST_PAGE)] = 1


class CheckQuestion(Question):
    """Query parameters of a check: which of the files that the run's config names."""

    file: FileName


def router(root: Path) -> APIRouter:
    """The routes over the store in `root`; each request opens it read-only and closes it."""
    routes = APIRouter(prefix="/lab/runs/{key}/data")
    facts, checks = FactsCache(), CheckCache()

    @routes.get("")
    def data(request: Request, key: str, _: Annotated[Question, Query()]) -> Response:
        with Store.open(root, read_only=True) as store:
            row = get_run(store, key)
            return answer(request, facts.of(store, row).told | source_entry(row))

    @routes.get("/images")
    def images(
        request: Request, key: str, question: Annotated[ImagesQuestion, Query()]
    ) -> Response:
        with Store.open(root, read_only=True) as store:
            row = get_run(store, key)
            ids = facts.of(store, row).image_ids.get(question.part, ())
            return answer(request, page_of_images(store, row, ids, question))

    @routes.get("/check")
    def check(request: Request, key: str, question: Annotated[CheckQuestion, Query()]) -> Response:
        with Store.open(root, read_only=True) as store:
            file = declared_file(own_config(get_run(store, key)), question.file)
        return answer(request, checks.of(file))

    return routes


def source_entry(row: RunRow) -> dict[str, Any]:
    """Where the images come from: made by us, files to check, or another program."""
    config = own_config(row)
    if config is None:
        return {"source": "own", "files": []}
    is_made = isinstance(config.dataset, ShapesConfig)
    files = [file_entry(one) for one in declared_files(config)]
    return {"source": "shapes" if is_made else "coco", "files": files}


def page_of_images(
    store: Store, row: RunRow, ids: Sequence[int], question: ImagesQuestion
) -> dict[str, Any]:
    """Images of a part with their truth, whoever may see it."""
    split = split_of(question.part)
    start = (question.pg - 1) * question.size
    records = images_by_id(store, row.run_id, split, ids[start : start + question.size])
    entries = [
        image_entry(one) | {"truth": [truth_entry(truth) for truth in one.annotations]}
        for one in records
    ]
    return {"part": question.part, "split": split, "total": len(ids), "images": entries}
