"""Masks and leftovers go as planned; scores, curves and everybody else's things stay."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lab.config import parse_run_config
from lab.datasets.records import LabelSource
from lab.store.queries import LabelFilter, events, find_labels, get_run, label_columns, list_runs
from lab.store.recorder import StoreRecorder
from lab.store.retention import MaskPolicy, carry_out, find_leftovers, plan_retention
from lab.store.run_bytes import run_bytes
from lab.store.runs import claim_run, create_run
from lab.store.shrinking import shrink
from lab.store.store import Store
from tests.factories import pseudo_labels

NUMBERS = ("class_quality", "mask_quality", "true_iou", "kind", "kept", "rule")


def record(store: Store, steps: int = 10, *, every: int = 1, count: int = 6) -> str:
    """Labels at every `every`-th step on images 1 and 2, and on a probe image at step 0."""
    config = parse_run_config({"name": "r", "record": {"every": every}})
    run_id = create_run(store, config)
    with StoreRecorder(store, run_id) as recorder:
        for step in range(0, steps * every, every):
            labels = [pseudo_labels(count, image_id=image, seed=step) for image in (1, 2)]
            recorder.pseudo_labels(step, labels)
            recorder.scalars(step, {"loss/total": 1.0})
        recorder.pseudo_labels(0, [pseudo_labels(count, source=LabelSource.PROBE_TEACHER)])
    return run_id


def with_masks(store: Store, run_id: str, source: LabelSource = LabelSource.PSEUDO) -> list[int]:
    """Steps of which some label has its mask."""
    rows = find_labels(store, run_id, LabelFilter(source=source), limit=10_000).rows
    return sorted({row.step for row in rows if row.has_mask})


def clean(store: Store, policy: MaskPolicy | None) -> None:
    carry_out(store, plan_retention(store, list_runs(store), policy))


def age(path: Path, seconds: float) -> Path:
    then = path.lstat().st_mtime - seconds
    os.utime(path, (then, then))
    return path


def test_every_kth_recorded_step_the_newest_and_the_probes_keep_their_masks(store: Store):
    run_id = record(store, steps=10, every=2)

    clean(store, MaskPolicy(keep_every=4))

    # Recorded at 0, 2, ... 18; every 4th of them is a multiple of 8.
    assert with_masks(store, run_id) == [0, 8, 16, 18]
    assert with_masks(store, run_id, LabelSource.PROBE_TEACHER) == [0]


def test_without_any_masks_the_newest_step_keeps_its_own(store: Store):
    run_id = record(store, steps=4)

    clean(store, MaskPolicy(None))

    assert with_masks(store, run_id) == [3]
    assert with_masks(store, run_id, LabelSource.PROBE_TEACHER) == [0]


def test_scores_and_curves_stay_as_they_were(store: Store):
    run_id = record(store)
    before = label_columns(store, run_id, LabelFilter(), NUMBERS)
    sizes = run_bytes(store, run_id)

    clean(store, MaskPolicy(None))

    after = label_columns(store, run_id, LabelFilter(), NUMBERS)
    assert all(np.array_equal(before[name], after[name], equal_nan=True) for name in NUMBERS)
    now = run_bytes(store, run_id)
    assert (now.scores, now.curves) == (sizes.scores, sizes.curves)
    assert now.masks < sizes.masks


def test_a_plan_foretells_what_happens_and_changes_nothing(store: Store):
    run_id = record(store)
    with Store.open(store.root, read_only=True) as reader:
        (planned,) = plan_retention(reader, list_runs(reader), MaskPolicy(5)).runs
    before = run_bytes(store, run_id)
    assert with_masks(store, run_id) == list(range(10))

    clean(store, MaskPolicy(5))

    # Steps 0, 5 and 9 keep theirs: 7 steps x 2 images x 6 labels go.
    assert planned.masks == 84
    assert planned.before == before
    assert run_bytes(store, run_id).masks == pytest.approx(before.masks - planned.freed, abs=2)
    (event,) = events(store, run_id)
    assert (event.kind, event.payload["masks"], event.payload["keep_every"]) == (
        "masks_removed",
        84,
        5,
    )


def test_doing_it_again_finds_nothing_more(store: Store):
    run_id = record(store)
    for _ in range(2):
        clean(store, MaskPolicy(5))

    assert len(events(store, run_id)) == 1


def test_a_run_that_waits_or_is_recorded_is_left_alone(store: Store):
    going, waiting = record(store), record(store)
    claim_run(store, going)
    waiting = create_run(store, parse_run_config({"name": "waiting"}))

    plan = plan_retention(store, list_runs(store), MaskPolicy(None))

    assert {row.run_id for row in plan.busy} == {going, waiting}
    assert {one.run.run_id for one in plan.runs}.isdisjoint({going, waiting})


def make_orphan(store: Store, run_id: str) -> Path:
    path = store.run_directory("20200101-000000-aaaa")
    path.mkdir(parents=True)
    age(path, 0)
    (path / "log.txt").write_text("x" * 10)
    age(path / "log.txt", 7200)
    return age(path, 7200)


def make_scratch(store: Store, run_id: str) -> Path:
    path = store.root / "datasets" / ".shapes-main-600-abc"
    path.mkdir(parents=True)
    return age(path, 7200)


def make_temporary(store: Store, run_id: str) -> Path:
    path = store.run_directory(run_id) / "checkpoints" / "step-00000010.77.tmp"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    return age(path, 7200)


@pytest.mark.parametrize("make", [make_orphan, make_scratch, make_temporary])
def test_what_a_crash_left_goes_and_its_neighbours_stay(
    store: Store, make: Callable[[Store, str], Path]
):
    run_id = record(store, steps=1)
    mine = store.run_directory(run_id) / "log.txt"
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("mine")
    dataset = store.root / "datasets" / "shapes-main-600"
    dataset.mkdir(parents=True)
    for path in (mine, dataset):
        age(path, 7200)
    left = make(store, run_id)

    clean(store, None)

    assert not left.exists()
    assert mine.exists() and dataset.exists()


def test_what_somebody_may_still_be_writing_is_no_leftover(store: Store):
    path = make_orphan(store, "")
    (path / "new.txt").write_text("just now")

    assert list(find_leftovers(store, (path / "new.txt").stat().st_mtime + 60)) == []


def test_the_reserve_of_a_run_that_goes_on_is_no_leftover(store: Store):
    run_id = record(store, steps=1)
    claim_run(store, run_id)
    reserve = make_temporary(store, run_id)

    assert list(find_leftovers(store, reserve.stat().st_mtime + 7200)) == []


def test_the_file_gets_smaller_by_what_was_removed(store: Store):
    run_id = record(store, steps=60, count=40)
    masks = run_bytes(store, run_id).masks

    clean(store, MaskPolicy(None))
    done = shrink(store)

    assert done.why_not is None
    assert done.before - done.after > 0.7 * masks > 100_000
    with store.reading() as connection:
        assert store.database.size(connection) == done.after
    assert with_masks(store, run_id) == [59]


def test_it_gets_smaller_while_another_run_is_recorded(file_store: Store):
    store = file_store
    old = record(store, steps=60, count=40)
    new = create_run(store, parse_run_config({"name": "new"}))
    plan = plan_retention(store, [get_run(store, old)], MaskPolicy(None))

    with StoreRecorder(store, new) as recorder:

        def go_on() -> None:
            for step in range(150):
                recorder.pseudo_labels(step, [pseudo_labels(4, seed=step)])

        training = threading.Thread(target=go_on)
        training.start()
        carry_out(store, plan)
        done = shrink(store)
        training.join()

    assert done.why_not is None
    assert with_masks(store, old) == [59]
    assert with_masks(store, new) == list(range(150))


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_server_keeps_the_space_for_new_rows_while_a_run_is_recorded(store: Store):
    record(store, steps=60, count=40)
    clean(store, MaskPolicy(None))
    going = create_run(store, parse_run_config({"name": "going"}))
    claim_run(store, going)

    kept = shrink(store)

    assert kept.why_not is not None and going in kept.why_not


def old_store(root: Path) -> None:
    """A file as it was made before pages could be given back one by one."""
    Store.open(root).close()
    with sqlite3.connect(root / "store.db", isolation_level=None) as plain:
        plain.execute("PRAGMA auto_vacuum = NONE")
        plain.execute("VACUUM")
        assert plain.execute("PRAGMA auto_vacuum").fetchone() == (0,)


def test_an_older_file_is_rewritten_once_it_is_at_rest(tmp_path: Path):
    old_store(tmp_path)
    with Store.open(tmp_path) as store:
        run_id = record(store, steps=60, count=40)
        clean(store, MaskPolicy(None))
        going = create_run(store, parse_run_config({"name": "going"}))
        claim_run(store, going)

        busy = shrink(store)
        assert busy.why_not is not None and going in busy.why_not

        with StoreRecorder(store, going):
            pass
        done = shrink(store)

        assert done.why_not is None
        assert done.after < done.before
        assert with_masks(store, run_id) == [59]
        with store.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA auto_vacuum").scalar_one() == 2


def test_an_empty_store_has_nothing_to_give(store: Store):
    plan = plan_retention(store, [], MaskPolicy(None))

    assert (plan.runs, plan.leftovers, plan.busy) == ((), (), ())
    assert shrink(store).why_not is None
