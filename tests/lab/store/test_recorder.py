"""Recording: nothing lost, nothing twice, nothing that stops training."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from engine.recorder import Recorder
from lab.datasets.records import ErrorKind, Evaluation, LabelSource, PseudoLabels
from lab.store.errors import RecordingError, StoreError
from lab.store.machine import parse_gpu
from lab.store.queries import (
    LabelFilter,
    StepSummary,
    checkpoints,
    evaluations,
    events,
    find_labels,
    get_run,
    label_masks,
    latest_scalars,
    scalar_names,
    scalar_series,
    step_summaries,
)
from lab.store.recorder import LABEL_BATCHES, QUEUE_ITEMS, StoreRecorder
from lab.store.store import Store
from tests.factories import pseudo_labels


def series(store: Store, run_id: str, name: str = "loss") -> list[tuple[int, float]]:
    found = scalar_series(store, run_id, [name], max_points=10**6)[name]
    return list(zip(found.steps.tolist(), found.values.tolist(), strict=True))


def counted(table: str, store: Store) -> int:
    with store.reading() as connection:
        return connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()


def test_it_is_a_recorder_for_the_engine(store, run_id):
    recorder: Recorder = StoreRecorder(store, run_id)

    recorder.scalars(0, {"loss": 1.5})
    recorder.finish("finished")

    assert series(store, run_id) == [(0, 1.5)]
    assert get_run(store, run_id).status == "finished"


def test_recording_a_step_again_replaces_it(store, run_id):
    with StoreRecorder(store, run_id) as recorder:
        for value, count in ((1.0, 7), (2.0, 4)):
            recorder.scalars(7, {"loss": value})
            recorder.pseudo_labels(7, [pseudo_labels(count), pseudo_labels(2, image_id=9)])
            recorder.evaluation(7, Evaluation("val", "student", {"AP": value}, {}))
            recorder.flush()

    assert series(store, run_id) == [(7, 2.0)]
    assert latest_scalars(store, run_id)["loss"].value == 2.0
    assert find_labels(store, run_id, LabelFilter()).total == 6
    assert counted("label_masks", store) == 6
    assert step_summaries(store, run_id)[0].candidates == 6
    assert [row.metrics["AP"] for row in evaluations(store, run_id)] == [2.0]


def test_the_last_of_two_in_one_batch_wins(store, run_id):
    with StoreRecorder(store, run_id) as recorder:
        recorder.scalars(7, {"loss": 1.0})
        recorder.scalars(7, {"loss": 2.0})
        recorder.pseudo_labels(7, [pseudo_labels(5), pseudo_labels(3)])

    assert series(store, run_id) == [(7, 2.0)]
    assert find_labels(store, run_id, LabelFilter()).total == 3


def test_images_of_a_step_may_come_in_several_calls(store, run_id):
    with StoreRecorder(store, run_id) as recorder:
        for image_id in (1, 2, 3):
            recorder.pseudo_labels(0, [pseudo_labels(4, image_id=image_id)])
            recorder.flush()

    [summary] = step_summaries(store, run_id)
    assert (summary.images, summary.candidates) == (3, 12)


def test_a_value_that_is_no_number_comes_back_as_such(store, run_id):
    metrics = {"AP": float("nan"), "AP50": 3.0}
    with StoreRecorder(store, run_id) as recorder:
        recorder.scalars(0, {"loss": float("nan"), "top": float("inf")})
        recorder.evaluation(0, Evaluation("val", "student", metrics, {"cat": float("nan")}))

    assert math.isnan(series(store, run_id)[0][1])
    assert series(store, run_id, "top") == [(0, math.inf)]
    [row] = evaluations(store, run_id)
    assert math.isnan(row.metrics["AP"]) and math.isnan(row.per_class["cat"])
    assert math.isnan(get_run(store, run_id).best_ap)


def test_numbers_from_arrays_are_numbers(store, run_id):
    with StoreRecorder(store, run_id) as recorder:
        recorder.scalars(np.int64(3), {"loss": np.float32(0.5)})  # pyright: ignore
        recorder.pseudo_labels(np.int64(3), [pseudo_labels(2, image_id=np.int64(8))])  # pyright: ignore
        recorder.evaluation(4, Evaluation("val", "student", {"AP": np.float64(2)}, {}))

    assert series(store, run_id) == [(3, 0.5)]
    eight = LabelFilter(image_id=np.int64(8), kinds=[np.int64(kind) for kind in ErrorKind])  # pyright: ignore
    assert find_labels(store, run_id, eight).total == 2
    assert get_run(store, run_id).best_ap == 2.0


def test_the_best_ap_is_the_teachers_where_there_is_one(store, run_id):
    with StoreRecorder(store, run_id) as recorder:
        for step, model, ap in (
            (10, "student", 30.0),
            (10, "teacher", 20.0),
            (20, "teacher", 25.0),
        ):
            recorder.evaluation(step, Evaluation("val", model, {"AP": ap}, {}))

    row = get_run(store, run_id)
    assert (row.best_ap, row.best_ap_model) == (25.0, "teacher")


def test_no_labels_are_still_a_recorded_image(store, run_id):
    none = replace(pseudo_labels(0), num_truths=3, missed=3)
    with StoreRecorder(store, run_id) as recorder:
        recorder.pseudo_labels(0, [none])
        recorder.pseudo_labels(1, [])

    [summary] = step_summaries(store, run_id)
    assert (summary.images, summary.candidates, summary.truths, summary.found) == (1, 0, 3, 0)
    assert summary.recall == 0.0
    assert math.isnan(summary.precision)


def judged(kinds: list[ErrorKind], kept: list[bool], duplicates: list[bool]) -> PseudoLabels:
    labels = pseudo_labels(len(kinds))
    return replace(
        labels,
        kinds=np.array(kinds),
        kept=np.array(kept),
        duplicates=np.array(duplicates),
        num_truths=4,
        missed=3,
    )


def test_a_summary_counts_by_hand(store, run_id):
    cor, bg, ignored = ErrorKind.COR, ErrorKind.BG, ErrorKind.IGNORED
    labels = judged(
        [cor, cor, bg, cor, ignored], [True, True, True, False, True], [False, True, *[False] * 3]
    )
    with StoreRecorder(store, run_id) as recorder:
        recorder.pseudo_labels(2, [labels, replace(pseudo_labels(0), image_id=5)])

    [summary] = step_summaries(store, run_id)
    assert (summary.images, summary.candidates, summary.kept, summary.kept_right) == (2, 5, 4, 1)
    assert summary.all_kinds[cor] == 3 and summary.kept_kinds[cor] == 2
    # two Cor (one a duplicate) of three judged; pseudo_labels(0) has 2 truths, none found
    assert summary.precision == pytest.approx(2 / 3)
    assert summary.recall == pytest.approx(1 / 6)
    run = get_run(store, run_id)
    assert run.lately is not None
    assert (run.lately.kept_per_image, run.lately.precision) == (2.0, pytest.approx(2 / 3))
    assert run.lately.recall == pytest.approx(1 / 6)


def test_labels_without_truth_have_no_precision(store, run_id):
    with StoreRecorder(store, run_id) as recorder:
        recorder.pseudo_labels(2, [pseudo_labels(30, judged=False)])

    [summary] = step_summaries(store, run_id)
    assert summary.kept > 0
    assert math.isnan(summary.precision) and math.isnan(summary.recall)


def test_labels_are_made_and_judged_off_the_training_thread(store, run_id):
    seen: list[tuple[str, str]] = []

    def make() -> list[PseudoLabels]:
        seen.append(("made", threading.current_thread().name))
        return [pseudo_labels(2, judged=False)]

    def judge(labels: PseudoLabels) -> PseudoLabels:
        seen.append(("judged", threading.current_thread().name))
        return replace(labels, kinds=np.array([ErrorKind.LOC, ErrorKind.SIM]))

    with StoreRecorder(store, run_id, judge=judge) as recorder:
        recorder.pseudo_labels(0, make)

    assert seen == [("made", f"record {run_id}"), ("judged", f"record {run_id}")]
    kinds = {row.kind for row in find_labels(store, run_id, LabelFilter()).rows}
    assert kinds == {ErrorKind.LOC, ErrorKind.SIM}


def test_masks_are_kept_every_few_steps_and_always_on_probe_images(store, run_id):
    with StoreRecorder(store, run_id, keep_every=3) as recorder:
        for step in range(7):
            recorder.pseudo_labels(step, [pseudo_labels(1)])
            recorder.pseudo_labels(step, [pseudo_labels(1, source=LabelSource.PROBE_STUDENT)])

    rows = find_labels(store, run_id, LabelFilter(), sort="step").rows
    assert [row.step for row in rows if row.has_mask] == [0, 3, 6]
    assert len(label_masks(store, [row.label_id for row in rows])) == 3
    probe = LabelFilter(source=LabelSource.PROBE_STUDENT)
    assert all(row.has_mask for row in find_labels(store, run_id, probe).rows)


def test_masks_and_checkpoints_come_back(store, run_id):
    labels = pseudo_labels(3)
    inside = store.run_directory(run_id) / "checkpoints" / "step-4.pt"
    outside = store.root.parent / "elsewhere.pt"
    with StoreRecorder(store, run_id) as recorder:
        recorder.pseudo_labels(0, [labels])
        recorder.checkpoint(4, inside)
        recorder.checkpoint(5, outside)

    rows = find_labels(store, run_id, LabelFilter(), sort="label_id").rows
    masks = label_masks(store, [row.label_id for row in rows] + [10**6])
    assert list(masks.values()) == list(labels.masks)
    assert [row.path for row in checkpoints(store, run_id)] == [inside, outside]
    assert counted("checkpoints WHERE path = 'checkpoints/step-4.pt'", store) == 1


def test_a_full_queue_blocks_and_drops_nothing(store, run_id):
    steps = 3 * QUEUE_ITEMS
    with StoreRecorder(store, run_id) as recorder:
        for step in range(steps):
            recorder.scalars(step, {"loss": float(step)})
        for step in range(3 * LABEL_BATCHES):
            recorder.pseudo_labels(step, lambda step=step: [pseudo_labels(1, seed=step)])

    assert series(store, run_id) == [(step, float(step)) for step in range(steps)]
    assert find_labels(store, run_id, LabelFilter()).total == 3 * LABEL_BATCHES


def test_the_machine_is_sampled(store, run_id):
    with StoreRecorder(store, run_id) as recorder:
        recorder.scalars(0, {"loss": 1.0})
        recorder.flush()
        recorder._ingest._beat_due = 0.0
        recorder.scalars(1, {"loss": 1.0})
        recorder.flush()

    assert {"sys/cpu_percent", "sys/memory_gib"} <= set(scalar_names(store, run_id))
    assert 0.01 < latest_scalars(store, run_id)["sys/memory_gib"].value < 100


def test_an_answer_of_the_gpu_is_two_numbers():
    assert parse_gpu("37, 2048\n") == {"sys/gpu_percent": 37.0, "sys/gpu_memory_gib": 2.0}


def test_labels_that_cannot_be_made_do_not_stop_training(store, run_id, caplog):
    def stumble() -> list[PseudoLabels]:
        raise ArithmeticError("no such mask")

    recorder = StoreRecorder(store, run_id)
    recorder.pseudo_labels(3, stumble)
    recorder.scalars(3, {"loss": 1.0})
    recorder.flush()

    assert series(store, run_id) == [(3, 1.0)]
    [event] = events(store, run_id)
    assert event.kind == "recording_failed" and "no such mask" in event.payload["errors"][0]
    assert "LabelItem at step 3" in caplog.text
    with pytest.raises(RecordingError, match="no such mask"):
        recorder.finish("finished")
    run = get_run(store, run_id)
    assert run.status == "finished" and "no such mask" in (run.error or "")


def test_a_store_that_cannot_be_written_does_not_stop_training(store, run_id, monkeypatch):
    monkeypatch.setattr("lab.store.ingest.RETRY_PAUSES", (0.01,))
    recorder = StoreRecorder(store, run_id)
    with store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE scalars RENAME TO hidden")
    recorder.scalars(0, {"loss": 1.0})
    recorder.flush()
    with store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE hidden RENAME TO scalars")
    recorder.scalars(1, {"loss": 2.0})
    recorder.flush()

    assert series(store, run_id) == [(1, 2.0)]
    assert [event.kind for event in events(store, run_id)] == ["recording_failed"]
    with pytest.raises(RecordingError, match=r"no such table|does not exist"):
        recorder.finish("stopped")
    assert get_run(store, run_id).status == "stopped"


def test_a_lossless_recorder_stops_training_once_rows_are_lost(store, run_id, monkeypatch):
    """What is not recorded has to be trained again: so no checkpoint may come after it."""
    monkeypatch.setattr("lab.store.ingest.RETRY_PAUSES", (0.01,))
    recorder = StoreRecorder(store, run_id, lossless=True)
    with store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE scalars RENAME TO hidden")
    recorder.scalars(0, {"loss": 1.0})

    with pytest.raises(
        RecordingError, match=r"cannot be written: .*(no such table|does not exist)"
    ):
        recorder.flush()
    with pytest.raises(RecordingError):
        recorder.scalars(1, {"loss": 2.0})
    with pytest.raises(RecordingError):
        recorder.finish("finished")

    run = get_run(store, run_id)
    assert run.status == "failed" and "writing" in (run.error or "")
    with store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE hidden RENAME TO scalars")


def test_a_failure_that_is_told_is_not_raised_again(store, run_id, monkeypatch):
    monkeypatch.setattr("lab.store.ingest.RETRY_PAUSES", (0.01,))
    recorder = StoreRecorder(store, run_id, lossless=True)
    with store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE scalars RENAME TO hidden")
    recorder.scalars(0, {"loss": 1.0})

    recorder.finish("failed", "the disk is full")

    assert (get_run(store, run_id).error or "").startswith("the disk is full\n1 times recording")
    with store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE hidden RENAME TO scalars")


def test_an_error_in_the_block_is_the_runs_error(store, run_id):
    def train() -> None:
        with StoreRecorder(store, run_id) as recorder:
            recorder.scalars(0, {"loss": 1.0})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()

    run = get_run(store, run_id)
    assert run.status == "failed" and "ZeroDivisionError" in (run.error or "")
    assert series(store, run_id) == [(0, 1.0)]


def test_nothing_can_be_recorded_after_the_end(store, run_id):
    recorder = StoreRecorder(store, run_id)
    recorder.finish("finished")

    with pytest.raises(StoreError, match="after it was finished"):
        recorder.scalars(0, {})


def test_a_summary_of_nothing_is_nothing(store, run_id):
    assert step_summaries(store, run_id) == []
    zero = dict.fromkeys(ErrorKind, 0)
    assert math.isnan(StepSummary(0, 0, 0, 0, 0, 0, 0, zero, zero).precision)


RECORD = """
import sys
from pathlib import Path
from lab.config import RunConfig
from lab.store.recorder import StoreRecorder
from lab.store.runs import create_run
from lab.store.store import Store
from tests.factories import pseudo_labels

with Store.open(Path(sys.argv[1])) as store:
    run_id = create_run(store, RunConfig())
    print(run_id, flush=True)
    recorder = StoreRecorder(store, run_id)
    for step in range(int(sys.argv[2])):
        recorder.scalars(step, {"loss": float(step), "lr": 0.1})
        recorder.pseudo_labels(step, [pseudo_labels(3, image_id=i, seed=step) for i in (1, 2)])
        if step % 40 == 39:
            recorder.flush()
            print(step + 1, flush=True)
    recorder.finish("finished")
"""


def record_elsewhere(root, steps: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", RECORD, str(root), str(steps)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_processes_record_into_one_new_store_at_once_and_lose_nothing(database, tmp_path):
    root = tmp_path / "shared store"
    children = [record_elsewhere(root, 80) for _ in range(4)]
    run_ids = [child.stdout.readline().strip() for child in children]
    while any(child.poll() is None for child in children):  # meanwhile somebody looks, and
        with Store.open(root, read_only=True) as store:  # sees whole steps only
            seen = [find_labels(store, run_id, LabelFilter()).total for run_id in run_ids]
        assert [total % 6 for total in seen] == [0] * 4
        time.sleep(0.05)

    assert [child.wait() for child in children] == [0] * 4
    with Store.open(root, read_only=True) as store:
        for run_id in run_ids:
            run = get_run(store, run_id)
            assert (run.status, run.step) == ("finished", 79)
            assert series(store, run_id) == [(step, float(step)) for step in range(80)]
            assert find_labels(store, run_id, LabelFilter()).total == 80 * 6
        assert counted("label_masks", store) == 4 * 80 * 6
        with store.reading() as connection:
            distinct = connection.exec_driver_sql("SELECT count(DISTINCT label_id) FROM labels")
            assert distinct.scalar_one() == 4 * 80 * 6
            if database == "sqlite":
                checked = connection.exec_driver_sql("PRAGMA integrity_check")
                assert checked.scalar_one() == "ok"


def test_a_killed_process_leaves_what_it_flushed_and_its_run_becomes_stale(store, monkeypatch):
    child = record_elsewhere(store.root, 10**6)
    assert child.stdout is not None
    run_id = child.stdout.readline().strip()
    flushed = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    child.wait()

    with Store.open(store.root) as store:
        steps = [step for step, _ in series(store, run_id)]
        assert steps == [*range(len(steps))] and len(steps) >= flushed
        labelled = find_labels(store, run_id, LabelFilter()).total
        assert labelled % 6 == 0 and labelled >= 6 * flushed
        assert get_run(store, run_id).status == "running"  # its heartbeat is seconds old
        later = time.time() + 60
        monkeypatch.setattr(time, "time", lambda: later)
        assert get_run(store, run_id).status == "stale"
        recorder = StoreRecorder(store, run_id)  # and can be taken over
        recorder.scalars(len(steps), {"loss": 1.0})
        recorder.finish("finished")
        assert get_run(store, run_id).status == "finished"
