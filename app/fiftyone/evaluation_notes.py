"""What the numbers of FiftyOne's Model Evaluation panel are of, as the panel's note on them."""

from __future__ import annotations

from fiftyone.operators.store import ExecutionStore

from app.fiftyone.content import SHOWN_SCORE
from app.fiftyone.dataset import Dataset
from app.fiftyone.request import LabelField

STORE = "model_evaluation_panel_builtin"
"""Where the panel keeps notes, by the id of the evaluation."""
OURS = "seglab: "
"""How a note of ours begins; any other was written by somebody."""


def note_on(field: LabelField, has_map: bool) -> str:
    """Which labels count in which numbers, and why there is no mAP if there is none."""
    which = (
        "kept labels"
        if field.source == "pseudo"
        else f"predictions with a score of at least {SHOWN_SCORE}"
    )
    counted = (
        f"{OURS}TP, FP, FN, precision and recall are of {which} at mask IoU 0.5. One on an object "
        "of another class counts in precision, recall and the confusion matrix, but FiftyOne shows "
        "it neither as FP nor its object as FN. "
    )
    if has_map:
        return counted + "mAP and mAR are COCO's, of all labels by score, kept or not."
    return counted + (
        "There is no mAP: it needs a truth and the masks of all labels, and the store has let some "
        "go (record.keep, seglab gc). The AP of the run is on Live and in seglab show."
    )


def evaluation_id(dataset: Dataset, key: str) -> str | None:
    """By which the panel knows an evaluation; another one after each registration."""
    known = dataset._doc.evaluations.get(key)
    return None if known is None else str(known.id)


def put_note(dataset: Dataset, key: str, before: str | None, note: str) -> None:
    """Write the note of an evaluation that was registered anew.

    Args:
        before: id of the evaluation that it replaces. A note that somebody wrote on that one stays.
    """
    store = ExecutionStore.create(STORE, dataset._doc.id)
    notes: dict[str, str] = store.get("notes") or {}
    older = notes.pop(before, "") if before is not None else ""
    notes[evaluation_id(dataset, key) or ""] = note if older.startswith(OURS) else older or note
    store.set("notes", notes)
