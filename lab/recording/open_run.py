"""A run of somebody else's training code, in the same store as ours."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from lab.analysis.judge import build_judge
from lab.datasets.records import Category, Dataset, Evaluation
from lab.recording.arrays import (
    BadRecord,
    existing_file,
    numbers_of,
    step_of,
    text_of,
    whole_number,
)
from lab.recording.descriptions import Data, categories_of, dataset_of, describe
from lab.recording.labels import candidates
from lab.store.queries import get_run
from lab.store.recorder import StoreRecorder
from lab.store.run_state import FinalStatus
from lab.store.run_thresholds import note_thresholds
from lab.store.runs import attach_datasets, rewind_run, set_categories, write_run
from lab.store.store import Store


def open_run(  # noqa: PLR0913 - what is known of a run
    name: str,
    *,
    max_steps: int,
    classes: Sequence[str] | Mapping[str, str] | None = None,
    dataset: Data | None = None,
    method: str = "own",
    host: str = "own",
    config: Mapping[str, Any] | None = None,
    seed: int = 0,
    store: Path | str | None = None,
) -> OpenRun:
    """Begin a run and record it from now on; a context manager that says how it ended.

    Args:
        name: what people call it; several runs may have the same.
        max_steps: how many steps it is going to do.
        classes: names, in the order of their numbers 0..K-1; or names with their supercategories,
            which says who looks alike. Not needed with a dataset, whose classes are taken.
        dataset: the training images with the truth that is known of them, also of images that are
            unlabelled for training: labels are judged by it. Without one they are not.
        method, host: what trains, and which network; for the table of runs.
        config: whatever describes the run; shown, searched and compared.
        store: directory of the store; None = $SEGLAB_HOME, else ./seglab-data.

    Raises:
        BadRecord: an argument makes no sense; the message names it.
        DatasetError: the COCO file cannot be used.
        StoreError: the store cannot be opened.
    """
    known = dataset_of(dataset)
    categories = known.categories if known is not None else categories_of(classes)
    description = describe(name, method, host, known, max_steps, seed, config or {})
    opened = Store.open(None if store is None else Path(store))
    try:
        run_id = write_run(opened, description, command=sys.argv)
        set_categories(opened, run_id, categories)
        return OpenRun(opened, run_id, categories, known)
    except BaseException:
        opened.close()
        raise


def resume_run(
    run: str, *, step: int, dataset: Data | None = None, store: Path | str | None = None
) -> OpenRun:
    """Go on recording a run after so many steps; what it recorded after them is forgotten.

    Args:
        run: its id, the beginning of it, a unique name, or "last".
        step: how many steps the checkpoint has done that training goes on from.
        dataset: as in `open_run`.

    Raises:
        RunNotFound: no such run.
        StoreError: another living process records it.
    """
    done = step_of(step)
    known = dataset_of(dataset)
    opened = Store.open(None if store is None else Path(store))
    try:
        row = get_run(opened, run)
        recorded = OpenRun(opened, row.run_id, row.categories, known, begin_at=done)
    except BaseException:
        opened.close()
        raise
    return recorded


class OpenRun:
    """A run that is being recorded. Calls return in microseconds; a thread writes the store."""

    def __init__(
        self,
        store: Store,
        run_id: str,
        categories: Sequence[Category],
        dataset: Dataset | None,
        *,
        begin_at: int | None = None,
    ) -> None:
        self.run_id = run_id
        self.directory = store.run_directory(run_id)
        """Of the run's files; checkpoints may lie anywhere."""
        self._store = store
        self._classes = len(categories)
        self._sizes = (
            None
            if dataset is None
            else {one.image_id: (one.height, one.width) for one in dataset.images}
        )
        if dataset is not None:
            attach_datasets(store, run_id, dataset, dataset)
        judge = None if dataset is None else build_judge(dataset)
        self._recorder = StoreRecorder(store, run_id, judge=judge)
        self._thresholds: dict[str, float] = {}
        self._noted: dict[str, float] = {}
        if begin_at is not None:
            rewind_run(store, run_id, begin_at)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers to plot, such as {"loss/total": 0.7}. Steps count from 0."""
        self._recorder.scalars(step_of(step), numbers_of("values", values))

    def pseudo_labels(  # noqa: PLR0913 - what is known of a label
        self,
        step: int,
        image_id: int,
        *,
        labels: object,
        scores: object,
        masks: object,
        boxes: object = None,
        mask_quality: object = None,
        class_threshold: object = 0.0,
        mask_threshold: object = 0.0,
        weights: object = 1.0,
        source: str = "pseudo",
    ) -> None:
        """All candidates of one image, those that the thresholds drop too: that is the point.

        Args:
            labels: (N,) classes, 0..K-1.
            scores: (N,) class qualities in [0, 1].
            masks: (N, H, W) of bool or of 0 and 1, in the image's own pixels; or N COCO run
                lengths.
            boxes: (N, 4) x1 y1 x2 y2 in pixels; None = those around the masks.
            mask_quality: (N,) in [0, 1]; None = the method has no such score: 1 for all.
            class_threshold, mask_threshold: what the scores have to reach to be kept; one number,
                or (N,) where every class has its own.
            weights: (N,) of kept labels in the loss; one number stands for all.
            source: "pseudo" = the teacher on an unlabelled image; "probe_teacher", "probe_student"
                = a network on an image that is looked at again and again.

        Raises:
            BadRecord: naming the argument, at once and not in the writing thread.
        """
        at, image = step_of(step), whole_number("image_id", image_id)
        made = candidates(
            image,
            self._size_of(image),
            self._classes,
            labels=labels,
            scores=scores,
            masks=masks,
            boxes=boxes,
            mask_quality=mask_quality,
            class_threshold=class_threshold,
            mask_threshold=mask_threshold,
            weights=weights,
            source=source,
        )
        self._recorder.pseudo_labels(at, [made])
        if source == "pseudo":
            self._remember(class_threshold, None if mask_quality is None else mask_threshold)

    def evaluation(
        self,
        step: int,
        metrics: Mapping[str, float],
        *,
        per_class: Mapping[str, float] | None = None,
        split: str = "val",
        model: str = "student",
    ) -> None:
        """Scores after so many steps: AP, AP50, AP75 ... in 0 to 100; "AP" makes the best run."""
        evaluated = Evaluation(
            text_of("split", split),
            text_of("model", model),
            numbers_of("metrics", metrics),
            numbers_of("per_class", per_class or {}),
        )
        self._recorder.evaluation(step_of(step), evaluated)

    def checkpoint(self, step: int, path: Path | str) -> None:
        """A checkpoint of so many steps has been written to `path`."""
        self._recorder.checkpoint(step_of(step), existing_file("path", path))

    def flush(self) -> None:
        """Return when everything recorded so far is in the store."""
        self._recorder.flush()

    def finish(self, status: FinalStatus = "finished", error: str | None = None) -> None:
        """Say how the run ended: "finished", "failed" or "stopped". Nothing can follow."""
        if status not in ("finished", "failed", "stopped"):
            raise BadRecord(f"status = {status!r}: expected finished, failed or stopped")
        try:
            self._recorder.finish(status, error)
            self._note()
        finally:
            self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._recorder.__exit__(kind, error, trace)
            self._note()
        finally:
            self._store.close()

    def _remember(self, class_threshold: object, mask_threshold: object) -> None:
        """Thresholds that are one number for all are the run's, as What-if shows them."""
        given: dict[str, Any] = {
            "class_threshold": class_threshold,
            "mask_threshold": mask_threshold,
        }
        numbers = {
            name: bar for name, bar in given.items() if bar is not None and np.ndim(bar) == 0
        }
        self._thresholds |= {name: float(np.asarray(bar)) for name, bar in numbers.items()}
        if not self._noted:
            self._note()

    def _note(self) -> None:
        """The first ones at once, those that followed when the run ends."""
        if self._thresholds != self._noted:
            note_thresholds(self._store, self.run_id, self._thresholds)
            self._noted = dict(self._thresholds)

    def _size_of(self, image_id: int) -> tuple[int, int] | None:
        if self._sizes is None:
            return None
        if image_id not in self._sizes:
            raise BadRecord(f"image_id = {image_id}: no image of the dataset has this id")
        return self._sizes[image_id]
