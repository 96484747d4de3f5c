"""How far a run is, and what it kept lately."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.config import RunConfig, parse_run_config
from lab.datasets.records import ErrorKind, Evaluation, LabelSource
from lab.store.lately import LATELY_STEPS
from lab.store.queries import get_run, last_summaries, list_runs
from lab.store.recorder import StoreRecorder
from lab.store.run_state import steps_done
from lab.store.runs import create_run, rewind_run
from lab.store.store import Store
from tests.factories import pseudo_labels

FIFTY = parse_run_config({"schedule": {"max_steps": 50}})


@pytest.mark.parametrize(
    ("last", "forked_at", "done"),
    [(None, None, 0), (0, None, 1), (None, 20, 20), (20, 20, 21), (3, 20, 20), (60, None, 50)],
)
def test_steps_before_a_fork_are_done(last: int | None, forked_at: int | None, done: int) -> None:
    assert steps_done(last, forked_at, 50) == done


def test_a_queued_fork_starts_where_its_parent_was(store: Store) -> None:
    parent = create_run(store, FIFTY)
    fork = create_run(store, FIFTY, parent_run_id=parent, parent_step=20)

    assert get_run(store, parent).done == 0
    assert get_run(store, fork).done == 20


def test_what_is_looked_at_after_a_step_is_not_the_next_step(store: Store) -> None:
    """One step, then all that may follow it: 1 is done, not 2."""
    run = create_run(store, FIFTY)
    with StoreRecorder(store, run) as recorder:
        recorder.scalars(0, {"loss/total": 1.0})
        recorder.evaluation(1, Evaluation("val", "student", {"AP": 1.0}, {}))
        recorder.pseudo_labels(1, [pseudo_labels(1, source=LabelSource.PROBE_TEACHER)])
        recorder.checkpoint(1, store.run_directory(run) / "step-1.pt")
        recorder.finish("stopped")

    assert (get_run(store, run).step, get_run(store, run).done) == (0, 1)


def test_probe_images_before_the_first_step_are_no_step(store: Store) -> None:
    run = create_run(store, FIFTY)
    with StoreRecorder(store, run) as recorder:
        recorder.pseudo_labels(0, [pseudo_labels(1, source=LabelSource.PROBE_TEACHER)])

    assert get_run(store, run).done == 0


def test_labels_are_of_a_step(store: Store) -> None:
    run = create_run(store, FIFTY)
    with StoreRecorder(store, run) as recorder:
        recorder.pseudo_labels(7, [pseudo_labels(1)])

    assert get_run(store, run).done == 8


def test_a_run_that_resumes_has_done_what_its_checkpoint_has(store: Store) -> None:
    run = create_run(store, FIFTY)
    with StoreRecorder(store, run) as recorder:
        for step in range(12):
            recorder.scalars(step, {"loss/total": 1.0})
        recorder.finish("stopped")

    rewind_run(store, run, 10)
    with StoreRecorder(store, run):
        assert get_run(store, run).done == 10
    rewind_run(store, run, 0)
    assert get_run(store, run).done == 0


def test_lately_is_the_last_recorded_steps_and_no_others(store: Store) -> None:
    """30 steps with nothing right, then 50 of which half is right."""
    other = create_run(store, RunConfig(name="other"))
    run = create_run(store, RunConfig())
    with StoreRecorder(store, run) as recorder:
        for step in range(0, 2 * (30 + LATELY_STEPS), 2):
            right = step >= 60 and step % 4 == 0
            kinds = np.array([ErrorKind.COR if right else ErrorKind.BG])
            one = replace(pseudo_labels(1), kinds=kinds, kept=np.array([True]))
            recorder.pseudo_labels(step, [replace(one, num_truths=1, missed=0 if right else 1)])

    lately = get_run(store, run).lately
    assert lately is not None
    assert (lately.first_step, lately.last_step, lately.steps) == (60, 158, 50)
    assert (lately.images, lately.kept, lately.kept_per_image) == (50, 50, 1.0)
    assert (lately.precision, lately.recall) == (0.5, 0.5)
    assert get_run(store, other).lately is None
    assert [row.lately for row in list_runs(store)] == [lately, None]


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 4), st.integers(0, 10_000))
def test_lately_adds_up_what_the_summaries_say(
    tmp_path_factory: pytest.TempPathFactory, steps: int, seed: int
) -> None:
    root: Path = tmp_path_factory.mktemp("lately")
    with Store.open(root) as store:
        run = create_run(store, RunConfig())
        with StoreRecorder(store, run) as recorder:
            for step in range(steps):
                recorder.pseudo_labels(step, [pseudo_labels(4, seed=seed + step)])
        lately = get_run(store, run).lately
        summaries = last_summaries(store, run, LATELY_STEPS)

    assert lately is not None
    assert lately.kept == sum(one.kept for one in summaries)
    right = sum(one.kept_kinds[ErrorKind.COR] for one in summaries)
    judged = sum(one.kept for one in summaries)
    assert lately.precision == pytest.approx(right / judged if judged else np.nan, nan_ok=True)
