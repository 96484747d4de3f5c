"""Teacher beside student: what both made of one probe image at the same step."""

from __future__ import annotations

from typing import Any

import numpy as np

from app.label_entries import image_entry, label_entries, truth_entry
from lab.datasets.records import IntArray, LabelSource
from lab.store.queries import LabelFilter, find_labels, image_pasts, image_record, image_steps
from lab.store.store import Store

NETWORKS = {"teacher": LabelSource.PROBE_TEACHER, "student": LabelSource.PROBE_STUDENT}
MOST_LABELS = 1_000
MOST_IMAGES = 24


def probe_pair(store: Store, run_id: str, image_id: int, step: int) -> dict[str, Any]:
    """What both networks made of an image at the step they were probed nearest to `step`.

    `recorded` has the steps of each; a network without a probe at the step shown is None, and so
    is the step of an image that nobody was probed with: then `probed` says which images are.
    """
    record = image_record(store, run_id, image_id)
    recorded = {
        name: image_steps(store, run_id, source, image_id) for name, source in NETWORKS.items()
    }
    shown = nearest_step(np.union1d(*recorded.values()), step)
    sides = {
        name: side(store, run_id, NETWORKS[name], image_id, shown) if shown in steps else None
        for name, steps in recorded.items()
    }
    return {
        "image": image_entry(record),
        "step": shown,
        "recorded": recorded,
        **sides,
        "truth": [truth_entry(annotation) for annotation in record.annotations],
        "probed": probed_images(store, run_id) if shown is None else [],
    }


def nearest_step(steps: IntArray, step: int) -> int | None:
    """The last of the ascending steps at or before `step`, else the first; None of none."""
    if len(steps) == 0:
        return None
    return int(steps[max(0, np.searchsorted(steps, step, side="right") - 1)])


def side(
    store: Store, run_id: str, source: LabelSource, image_id: int, step: int | None
) -> dict[str, Any]:
    """The labels of one network, the highest score first, and the part of the image it saw."""
    wanted = LabelFilter(source=source, first_step=step, last_step=step, image_id=image_id)
    page = find_labels(store, run_id, wanted, sort="score", descending=True, limit=MOST_LABELS)
    labels, _ = label_entries(store, run_id, page.rows)
    return {"labels": labels, "seen": labels[0]["seen"] if labels else None}


def probed_images(store: Store, run_id: str) -> list[int]:
    """Ids of images that a network was probed with, ascending."""
    pasts = [past for source in NETWORKS.values() for past in image_pasts(store, run_id, source)]
    return sorted({past.image_id for past in pasts})[:MOST_IMAGES]
