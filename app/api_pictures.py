"""/lab/runs/{run}/pictures: the images of a run's datasets, and no other file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import Field

from app.pictures import MAX_SIDE, PictureError, Pictures
from app.questions import ImageId, Question
from lab.store.image_queries import Split
from lab.store.queries import get_run, image_record
from lab.store.store import Store

KEEP_SECONDS = 3_600


class PictureQuestion(Question):
    """Query parameters of a picture: its longest side in pixels, at most."""

    side: Annotated[int, Field(ge=16, le=MAX_SIDE)] = 640
    split: Split | None = None
    """Of which images, where both splits use the same ids; None = training images come first."""


def router(root: Path) -> APIRouter:
    """One route: an image by run and id, as JPEG. Paths come from the store, never from a URL."""
    routes = APIRouter(prefix="/lab")
    pictures = Pictures()

    @routes.get("/runs/{key}/pictures/{image_id}")
    def picture(
        request: Request,
        key: str,
        image_id: ImageId,
        question: Annotated[PictureQuestion, Query()],
    ) -> Response:
        with Store.open(root, read_only=True) as store:
            run_id = get_run(store, key).run_id
            record = image_record(store, run_id, image_id, question.split)
        try:
            made = pictures.picture(record.path, question.side)
        except PictureError as error:
            raise HTTPException(404, str(error)) from None
        headers = {"ETag": made.tag, "Cache-Control": f"private, max-age={KEEP_SECONDS}"}
        if request.headers.get("if-none-match") == made.tag:
            return Response(status_code=304, headers=headers)
        return Response(made.body, media_type="image/jpeg", headers=headers)

    return routes
