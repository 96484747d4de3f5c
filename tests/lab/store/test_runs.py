"""The life of a run: created, claimed, beating, stale, resumed, deleted."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lab.config import RunConfig, parse_run_config
from lab.datasets.records import (
    Annotation,
    Category,
    Dataset,
    Evaluation,
    ImageRecord,
    LabelSource,
    Rle,
)
from lab.store.errors import RunNotFound, StoreError
from lab.store.processes import identity_of, is_alive, sight, this_process
from lab.store.queries import (
    LabelFilter,
    checkpoints,
    evaluations,
    events,
    find_labels,
    get_run,
    image_record,
    images_of,
    label_steps,
    latest_scalars,
    list_runs,
    run_origin,
    scalar_series,
    store_sizes,
)
from lab.store.recorder import StoreRecorder
from lab.store.runs import (
    add_event,
    attach_datasets,
    beat,
    claim_run,
    create_run,
    delete_run,
    finish_run,
    register_dataset,
    rewind_run,
)
from lab.store.store import Store
from tests.factories import CATEGORIES, pseudo_labels


def test_ids_sort_by_time_and_rows_come_newest_first(store):
    first, second = create_run(store, RunConfig(name="a")), create_run(store, RunConfig(name="b"))

    assert first != second
    assert first[:15] <= second[:15]
    assert [run.name for run in list_runs(store)] == ["b", "a"]


def test_a_run_knows_what_it_is(store):
    config = parse_run_config({"name": "x", "seed": 3, "schedule": {"max_steps": 70}})
    parent = create_run(store, config)
    run_id = create_run(store, config, command=("t", "ü"), parent_run_id=parent, parent_step=9)

    run = get_run(store, run_id)
    assert (run.name, run.method, run.host, run.dataset) == (
        "x",
        "supervised",
        "condinst",
        "shapes",
    )
    assert (run.max_steps, run.status, run.step) == (70, "queued", None)
    assert (run.parent_run_id, run.parent_step) == (parent, 9)
    assert parse_run_config(run.config) == config
    assert run.best_ap != run.best_ap  # NaN: never evaluated
    origin = run_origin(store, run_id)
    assert origin.command == ("t", "ü")
    assert origin.versions["numpy"]
    assert origin.git_commit is None or len(origin.git_commit) == 40


def test_a_parent_must_exist(store):
    with pytest.raises(RunNotFound, match="nobody"):
        create_run(store, RunConfig(), parent_run_id="nobody")
    assert list_runs(store) == []


def test_runs_answer_to_id_prefix_name_and_last(store):
    first = create_run(store, RunConfig(name="alpha"))
    second = create_run(store, RunConfig(name="beta"))

    for key, run_id in ((first, first), ("alpha", first), ("last", second), (second[:-1], second)):
        assert get_run(store, key).run_id == run_id


def test_an_unclear_key_lists_candidates(store):
    with pytest.raises(RunNotFound, match="no runs"):
        get_run(store, "last")
    ids = [create_run(store, RunConfig(name="same")) for _ in range(2)]

    for key in ("same", ids[0][:4]):
        with pytest.raises(RunNotFound, match=rf"2 runs match.*{ids[0]}|2 runs match.*{ids[1]}"):
            get_run(store, key)
    with pytest.raises(RunNotFound, match=r"no such run.*same"):
        get_run(store, "zzz")
    with pytest.raises(RunNotFound):
        get_run(store, "")


def test_a_claimed_run_is_running_until_it_is_finished(store, run_id):
    claim_run(store, run_id)
    beat(store, run_id, 4)
    running = get_run(store, run_id)
    finish_run(store, run_id, "failed", "out of memory")
    failed = get_run(store, run_id)

    assert (running.status, running.step, running.finished) == ("running", 4, None)
    assert (failed.status, failed.error) == ("failed", "out of memory")
    assert failed.finished is not None and failed.started == running.started


def test_a_resumed_run_is_running_again_without_its_old_error(store, run_id):
    claim_run(store, run_id)
    finish_run(store, run_id, "failed", "out of memory")
    claim_run(store, run_id)

    run = get_run(store, run_id)
    assert (run.status, run.error, run.finished) == ("running", None, None)


def test_a_process_that_ended_is_not_alive():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = identity_of(child.pid)
    alive_before = is_alive(identity)
    child.communicate(b"\n")

    assert alive_before
    assert not is_alive(identity)
    assert sight(identity) is False


def test_a_process_of_another_place_is_not_judged():
    me = this_process()
    boot, _, namespace = me.boot_id.partition(" ")

    assert sight(me) is True
    assert sight(replace(me, machine="elsewhere")) is None
    assert sight(replace(me, boot_id=f"{boot} pid:[1]")) is None, "another container"
    assert sight(replace(me, boot_id=boot)) is (None if namespace else True), "not known which"
    assert sight(replace(me, boot_id=f"another {namespace}")) is False, "the machine was restarted"
    assert sight(replace(me, started=me.started - 60.0)) is False, "the number was given again"


def test_a_run_of_a_process_that_was_killed_can_be_claimed_at_once(store, run_id):
    """Its heartbeat is fresh, but it is seen to be gone."""
    script = (
        "import os, sys; from pathlib import Path; from lab.store.store import Store;"
        "from lab.store.runs import claim_run;"
        "claim_run(Store.open(Path(sys.argv[1])), sys.argv[2]); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(store.root), run_id], check=False)

    claim_run(store, run_id)
    assert get_run(store, run_id).status == "running"


def test_a_run_that_a_living_process_records_cannot_be_claimed_or_deleted(store, run_id):
    script = (
        "import sys; from pathlib import Path; from lab.store.store import Store;"
        "from lab.store.runs import claim_run;"
        "claim_run(Store.open(Path(sys.argv[1])), sys.argv[2]);"
        "print('claimed', flush=True); input()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(store.root), run_id],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None and child.stdout.readline() == "claimed\n"

    with pytest.raises(StoreError, match=f"process {child.pid} is recording it"):
        claim_run(store, run_id)
    with pytest.raises(StoreError, match="stop it first"):
        delete_run(store, run_id)
    child.communicate("\n")
    claim_run(store, run_id)
    assert run_origin(store, run_id).pid == os.getpid()


def recorded(store: Store, run_id: str, steps: range, value: float = 0.0) -> None:
    """Steps as a trainer records them: in the step, then looks when `step + 1` are done."""
    recorder = StoreRecorder(store, run_id)
    for step in steps:
        recorder.scalars(step, {"loss/total": value + step})
        recorder.pseudo_labels(step, [pseudo_labels(3, image_id=1, seed=step)])
        done = step + 1
        probe = pseudo_labels(2, image_id=2, source=LabelSource.PROBE_TEACHER)
        recorder.pseudo_labels(done, [probe])
        recorder.evaluation(done, Evaluation("val", "teacher", {"AP": done}, {}))
        recorder.checkpoint(done, store.run_directory(run_id) / f"checkpoints/step-{done}.pt")
    recorder.close()


def test_rewinding_leaves_what_a_resumed_run_does_not_record_again(store, run_id):
    recorded(store, run_id, range(10))

    rewind_run(store, run_id, 6)

    assert scalar_series(store, run_id, ["loss/total"])["loss/total"].steps.tolist() == [*range(6)]
    assert latest_scalars(store, run_id)["loss/total"].step == 5
    assert label_steps(store, run_id).tolist() == [*range(6)]
    assert label_steps(store, run_id, LabelSource.PROBE_TEACHER).tolist() == [*range(1, 7)]
    assert [row.step for row in evaluations(store, run_id)] == [*range(1, 7)]
    assert [row.step for row in checkpoints(store, run_id)] == [*range(1, 7)]
    assert (get_run(store, run_id).step, get_run(store, run_id).done) == (5, 6)
    assert find_labels(store, run_id, LabelFilter()).total == 6 * 3
    with store.reading() as connection:
        masks = connection.exec_driver_sql("SELECT count(*) FROM label_masks").scalar_one()
    assert masks == 6 * 3 + 6 * 2


def test_nothing_is_there_twice_after_a_resume(store, run_id):
    recorded(store, run_id, range(10))
    rewind_run(store, run_id, 6)
    recorded(store, run_id, range(6, 12), value=100.0)

    series = scalar_series(store, run_id, ["loss/total"])["loss/total"]
    assert series.steps.tolist() == [*range(12)]
    assert series.values.tolist() == [0, 1, 2, 3, 4, 5, 106, 107, 108, 109, 110, 111]
    assert find_labels(store, run_id, LabelFilter()).total == 12 * 3


def test_rewinding_to_the_start_is_like_never_having_run(store, run_id):
    recorded(store, run_id, range(3))

    rewind_run(store, run_id, 0)

    assert latest_scalars(store, run_id) == {}
    assert label_steps(store, run_id).tolist() == []
    assert evaluations(store, run_id) == []
    assert get_run(store, run_id).step is None


def test_deleting_a_run_leaves_nothing_of_it_and_all_of_the_others(store, run_id):
    other = create_run(store, RunConfig())
    for one in (run_id, other):
        recorded(store, one, range(3))
        add_event(store, one, None, "note", {})
        finish_run(store, one, "finished")
        (store.run_directory(one) / "checkpoints").mkdir(parents=True)

    delete_run(store, run_id)

    assert [run.run_id for run in list_runs(store)] == [other]
    assert not store.run_directory(run_id).exists()
    assert store.run_directory(other).exists()
    assert find_labels(store, other, LabelFilter()).total == 9
    with store.reading() as connection:
        for table in ("labels", "label_sets", "scalars", "step_summaries", "events", "pulses"):
            runs = connection.exec_driver_sql(f"SELECT count(DISTINCT run) FROM {table}")
            assert runs.scalar_one() == 1, table


def test_events_are_read_from_where_one_stopped(store, run_id):
    first = add_event(store, run_id, 5, "thresholds", {"class_threshold": 0.8, "bad": float("nan")})
    second = add_event(store, run_id, None, "note", {"text": "<b>"})

    assert [event.event_id for event in events(store, run_id)] == [first, second]
    [later] = events(store, run_id, since_id=first)
    assert (later.step, later.kind, later.payload) == (None, "note", {"text": "<b>"})
    assert events(store, run_id)[0].payload == {"class_threshold": 0.8, "bad": None}


def small_dataset(name: str = "small", area: float = 12.0) -> Dataset:
    mask = Rle(8, 9, b"abc\x00\xff")
    truth = Annotation(0, 1, (1.0, 2.0, 4.0, 6.5), area, mask)
    crowd = Annotation(7, 0, (0.0, 0.0, 9.0, 8.0), 72.0, None, is_crowd=True)
    images = (
        ImageRecord(5, Path("/pictures/ö 5.png"), 8, 9, (truth, crowd), Path("/depth/5.png")),
        ImageRecord(2, Path("/pictures/2.png"), 8, 9),
    )
    return Dataset(name, CATEGORIES, images)


def test_a_dataset_comes_back_as_it_was(store, run_id):
    train, val = small_dataset(), small_dataset("val")
    attach_datasets(store, run_id, train, val)

    assert images_of(store, run_id, "train") == list(train.images)
    assert image_record(store, run_id, 5) == train.images[0]
    assert image_record(store, run_id, 2).annotations == ()
    assert get_run(store, run_id).categories == CATEGORIES
    with pytest.raises(StoreError, match="image 99"):
        image_record(store, run_id, 99)


def test_a_store_that_moved_finds_the_images_it_generated(tmp_path: Path):
    old, new = tmp_path / "old", tmp_path / "new"
    pictures = old / "datasets" / "shapes-1f" / "train" / "images"
    pictures.mkdir(parents=True)
    (pictures / "1.png").touch()
    images = (
        ImageRecord(1, pictures / "1.png", 8, 9, depth_path=pictures / "gone.png"),
        ImageRecord(2, tmp_path / "elsewhere" / "2.png", 8, 9),
    )
    with Store.open(old) as store:
        run_id = create_run(store, RunConfig())
        attach_datasets(store, run_id, Dataset("t", CATEGORIES, images), small_dataset())
        assert images_of(store, run_id, "train")[0].path == pictures / "1.png"
    old.rename(new)

    with Store.open(new, read_only=True) as store:
        first, second = images_of(store, run_id, "train")

    assert first.path == new / "datasets" / "shapes-1f" / "train" / "images" / "1.png"
    assert first.depth_path == pictures / "gone.png"  # it is in neither place
    assert second.path == tmp_path / "elsewhere" / "2.png"


def test_the_same_dataset_is_stored_once(store):
    first = register_dataset(store, small_dataset())

    assert register_dataset(store, small_dataset()) == first
    assert register_dataset(store, small_dataset(area=13.0)) != first


def test_a_run_without_datasets_has_no_images(store, run_id):
    assert images_of(store, run_id, "train") == []
    with pytest.raises(StoreError, match="in none of its datasets"):
        image_record(store, run_id, 1)


def test_an_empty_dataset_is_a_dataset(store, run_id):
    empty = Dataset("empty", (Category(1, "cat", "animal"),), ())
    attach_datasets(store, run_id, empty, empty)

    assert images_of(store, run_id, "val") == []


def test_sizes_count_what_a_run_holds(store, run_id):
    recorded(store, run_id, range(2))
    directory = store.run_directory(run_id)
    directory.mkdir(parents=True)
    (directory / "log.txt").write_text("12345")

    sizes = store_sizes(store)
    [size] = sizes.runs
    assert (size.labels, size.file_bytes) == (2 * 3 + 2 * 2, 5)
    assert size.scalars >= 2
    assert sizes.database_bytes > 0


@pytest.mark.parametrize(("ahead", "state"), [(40.0, "stale"), (20.0, "stale"), (-20.0, "stale")])
def test_a_sign_of_life_from_the_future_is_none_when_the_process_is_gone(
    store, run_id, ahead, state
):
    """Somebody set the clock back after it died: it would seem to live for a while."""
    claim_run(store, run_id)
    with store.writing() as connection:
        connection.exec_driver_sql(
            f"UPDATE pulses SET process_started = -1e9, heartbeat = {time.time() + ahead}"
        )

    assert get_run(store, run_id).status == state
