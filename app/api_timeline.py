"""/lab/runs/{run}/timeline: which images have a past, and one image through the steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Request, Response
from numpy.typing import NDArray

from app.answers import answer
from app.label_entries import BOX, cuts, image_entry, mask_entry, rows_of, truth_entry
from app.label_entries import label_entry as full_entry
from app.questions import ImageId, Question
from lab.analysis.happenings import Happening, happenings
from lab.analysis.timeline import Box, Frame, Links, link
from lab.datasets.records import ImageRecord, IntArray, LabelSource, Rle
from lab.store.queries import (
    LABEL_COLUMNS,
    LabelFilter,
    get_run,
    image_pasts,
    image_record,
    image_steps,
    label_columns,
    label_masks,
    visible_parts,
)
from lab.store.store import Store

Columns = Mapping[str, NDArray[Any]]

SOURCES = (LabelSource.PROBE_TEACHER, LabelSource.PSEUDO, LabelSource.PROBE_STUDENT)
"""The first that looked at an image twice is shown to somebody who asked for none."""
NAMES = {source.name.lower(): source for source in SOURCES}
MOST_IMAGES = 60
MOST_FRAMES = 100
MOST_LABELS = 40
"""Of one frame; kept ones first, then the highest score."""
TOLD = (
    *("id", "label", "label_before", "box", "kept", "why", "kind", "duplicate", "mask"),
    *("class_quality", "mask_quality", "score", "true_iou", "target_iou", "clip_after"),
)
"""What of a label is sent: a timeline holds thousands."""


class TimelineQuestion(Question):
    """Query parameters: whose labels; None = those that tell most."""

    source: str | None = None


def router(root: Path) -> APIRouter:
    """The routes over the store in `root`; each request opens it read-only and closes it."""
    routes = APIRouter(prefix="/lab")

    @routes.get("/runs/{key}/timeline")
    def images(
        request: Request, key: str, question: Annotated[TimelineQuestion, Query()]
    ) -> Response:
        with Store.open(root, read_only=True) as store:
            run_id = get_run(store, key).run_id
            return answer(request, images_with_past(store, run_id, named(question.source)))

    @routes.get("/runs/{key}/timeline/{image_id}")
    def timeline(
        request: Request,
        key: str,
        image_id: ImageId,
        question: Annotated[TimelineQuestion, Query()],
    ) -> Response:
        with Store.open(root, read_only=True) as store:
            run_id = get_run(store, key).run_id
            source = named(question.source) or LabelSource.PSEUDO
            return answer(request, image_timeline(store, run_id, image_id, source))

    return routes


def named(name: str | None) -> LabelSource | None:
    """A source by lower-case name. Raises HTTPException 422 for any other."""
    if name is not None and name not in NAMES:
        raise HTTPException(422, f"source={name}: expected one of {', '.join(NAMES)}")
    return None if name is None else NAMES[name]


def images_with_past(store: Store, run_id: str, wanted: LabelSource | None) -> dict[str, Any]:
    """The sources that there are, and the images that one of them looked at most often."""
    pasts = {source: image_pasts(store, run_id, source) for source in SOURCES}
    recorded = [source for source in SOURCES if pasts[source]]
    telling = [source for source in recorded if pasts[source][0].visits > 1]
    usual = next(iter(telling + recorded), LabelSource.PSEUDO)
    source = usual if wanted is None else wanted
    return {
        "sources": [source.name.lower() for source in recorded],
        "source": source.name.lower(),
        "total": len(pasts[source]),
        "images": pasts[source][:MOST_IMAGES],
    }


def image_timeline(store: Store, run_id: str, image_id: int, source: LabelSource) -> dict[str, Any]:
    """Every frame of an image with its labels, what things they are, and what became of these."""
    record = image_record(store, run_id, image_id)
    steps = image_steps(store, run_id, source, image_id)
    chosen = thinned(steps, MOST_FRAMES)
    parts = visible_parts(store, run_id, source, {(int(step), image_id) for step in chosen})
    seen = {
        step: part for (step, _), part in parts.items() if cuts(part, record.width, record.height)
    }
    columns, left_out = labels_of(store, run_id, source, image_id, chosen)
    masks = label_masks(store, columns["label_id"].tolist())
    frames = [frame_at(int(step), record, columns, masks, seen) for step in chosen]
    links = link(frames)
    entries = label_entries(columns, masks)
    return {
        "image": image_entry(record),
        "source": source.name.lower(),
        "recorded": len(steps),
        "left_out": left_out,
        "frames": [
            frame_entry(frame, entries, tracks, hidden)
            for frame, tracks, hidden in zip(frames, links.tracks, links.hidden, strict=True)
        ],
        "tracks": links.num_tracks,
        "events": event_entries(frames, links),
        "truth": [truth_entry(one) for one in record.annotations],
    }


def thinned(steps: IntArray, most: int) -> IntArray:
    """At most `most` of the steps, evenly, the first and the last among them. (S,) -> (F,)"""
    return steps[np.linspace(0, len(steps) - 1, min(most, len(steps))).astype(np.int64)]


def labels_of(
    store: Store, run_id: str, source: LabelSource, image_id: int, steps: IntArray
) -> tuple[Columns, int]:
    """The labels of the frames, in order of steps, and how many there are besides MOST_LABELS."""
    wanted = LabelFilter(source=source, image_id=image_id)
    columns = label_columns(store, run_id, wanted, LABEL_COLUMNS)
    rank = np.lexsort((-np.nan_to_num(columns["score"]), ~columns["kept"], columns["step"]))
    ordered = columns["step"][rank]
    place = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
    shown = np.isin(ordered, steps)
    used = np.sort(rank[shown & (place < MOST_LABELS)])
    return {name: values[used] for name, values in columns.items()}, int(shown.sum()) - len(used)


def frame_at(
    step: int,
    record: ImageRecord,
    columns: Columns,
    masks: Mapping[int, Rle],
    seen: Mapping[int, Box],
) -> Frame:
    here = slice(*np.searchsorted(columns["step"], [step, step + 1]).tolist())
    ids = columns["label_id"][here].tolist()
    return Frame(
        step=step,
        height=record.height,
        width=record.width,
        boxes=np.stack([columns[side][here] for side in BOX], axis=1),
        masks=tuple(masks[one] for one in ids) if all(one in masks for one in ids) else None,
        labels=columns["label"][here].astype(np.int64),
        labels_before=columns["label_before"][here].astype(np.int64),
        score=columns["score"][here],
        kept=columns["kept"][here],
        visible=seen.get(step),
    )


def frame_entry(
    frame: Frame, entries: Iterator[dict[str, Any]], tracks: IntArray, hidden: frozenset[int]
) -> dict[str, Any]:
    """A step with its labels, the next of `entries`, each with the number of its thing."""
    return {
        "step": frame.step,
        "seen": frame.visible,
        "labels": [next(entries) | {"track": track} for track in tracks.tolist()],
        "hidden": sorted(hidden),
    }


def label_entries(columns: Columns, masks: Mapping[int, Rle]) -> Iterator[dict[str, Any]]:
    """Of each label what a timeline needs, in their order."""
    for row in rows_of(columns, np.arange(len(columns["label_id"]))):
        entry = full_entry(row, None, None)
        entry["mask"] = mask_entry(masks.get(row.label_id))
        yield {name: entry[name] for name in TOLD}


def event_entries(frames: Sequence[Frame], links: Links) -> list[dict[str, Any]]:
    return [event_entry(one) for one in happenings(frames, links)]


def event_entry(one: Happening) -> dict[str, Any]:
    """`place` is the index of the label in its frame; -1 when it is gone."""
    return {"frame": one.frame, "track": one.track, "event": one.event.value, "place": one.place}
