"""A run goes into a file and comes out in another store as it was."""

from __future__ import annotations

import json
import shutil
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from lab.config import RunConfig
from lab.store import tables, transfer
from lab.store.bundle import BundleError, import_bundle, read_manifest, write_bundle
from lab.store.column_check import misfit
from lab.store.database import A_FILE
from lab.store.errors import StoreTooNew
from lab.store.queries import get_run, list_runs
from lab.store.recorder import StoreRecorder
from lab.store.runs import add_event, create_run, run_number
from lab.store.store import Store
from lab.store.transfer import LEFT_BEHIND, TRANSLATED, UNFINISHED, WHOLE, copy_run, run_digest
from tests.app.commands.conftest import record_by_hand
from tests.databases import BOTH, new_url
from tests.factories import filled_store, pseudo_labels
from tests.lab.store.old_stores import DIRECTORY, restore

OWN_NUMBERS = {"run", "label_id", "first_label_id", "event_id", "dataset_id", "truth", "name_id"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Three runs of a morning, one a fork; the other stores start with other numbers in use."""
    with filled_store(tmp_path_factory.mktemp("filled"), steps=25, num_images=5) as store:
        yield store


@pytest.fixture(scope="module")
def fork(filled: Store) -> str:
    return get_run(filled, "teacher-strict").run_id


@pytest.fixture(scope="module")
def teacher(filled: Store) -> str:
    return get_run(filled, "teacher").run_id


@pytest.fixture(params=BOTH)
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store with a run of its own, so that no number is free that the file uses."""
    with Store.open(tmp_path / "other", url=new_url(request)) as store:
        record_by_hand(store)
        yield store


def everything(store: Store, run_id: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of a run in all tables, without the store's own numbers; sorted."""
    with store.reading() as connection:
        found: dict[str, list[tuple[Any, ...]]] = {}
        run = run_number(connection, run_id)
        where = {
            "label_masks": f"label_id IN (SELECT label_id FROM labels WHERE run = {run})",
            **dict.fromkeys(
                ("datasets", "images", "truths"),
                f"dataset_id IN (SELECT train_dataset_id FROM runs WHERE run = {run} UNION "
                f"SELECT val_dataset_id FROM runs WHERE run = {run})",
            ),
            "scalar_names": f"name_id IN (SELECT name_id FROM scalars WHERE run = {run})",
        }
        for table in (*WHOLE, *TRANSLATED):
            columns = [c for c in table.columns if c.name not in OWN_NUMBERS]
            columns = [c for c in columns if not c.name.endswith("_dataset_id")]
            condition = text(where.get(table.name, f"run = {run}"))
            rows = connection.execute(select(*columns).where(condition)).all()
            found[table.name] = sorted((tuple(row) for row in rows), key=repr)
    return found


def test_a_run_comes_back_row_by_row(filled: Store, other: Store, teacher: str, tmp_path: Path):
    write_bundle(filled, teacher, tmp_path / "a.seglab")
    before = {row.run_id: everything(other, row.run_id) for row in list_runs(other)}

    manifest, new = import_bundle(other, tmp_path / "a.seglab")

    assert (manifest.run_id, new) == (teacher, True)
    copied = everything(other, teacher)
    assert copied == everything(filled, teacher)
    for table in ("labels", "label_masks", "scalars", "events", "evaluations", "truths"):
        assert copied[table], table
    assert {run_id: everything(other, run_id) for run_id in before} == before
    assert run_digest(other, teacher) == run_digest(filled, teacher)


def test_curves_and_masks_stay_with_their_own(
    filled: Store, other: Store, teacher: str, tmp_path: Path
):
    """Sorted rows could be right with the wrong neighbours: ask for pairs."""
    pairs = (
        "SELECT n.name, c.step, c.value FROM scalars AS c JOIN scalar_names AS n USING (name_id) "
        "JOIN runs AS r USING (run) WHERE r.run_id = :run_id ORDER BY 1, 2",
        "SELECT l.source, l.step, l.image_id, l.position, l.score, m.counts, "
        "l.label_id - s.first_label_id FROM labels AS l JOIN label_masks AS m USING (label_id) "
        "JOIN label_sets AS s USING (run, source, step, image_id) JOIN runs AS r USING (run) "
        "WHERE r.run_id = :run_id ORDER BY 1, 2, 3, 4",
    )
    write_bundle(filled, teacher, tmp_path / "a.seglab")
    import_bundle(other, tmp_path / "a.seglab")

    for query in pairs:
        with filled.reading() as ours, other.reading() as theirs:
            expected = ours.execute(text(query), {"run_id": teacher}).all()
            assert theirs.execute(text(query), {"run_id": teacher}).all() == expected
            assert expected


def test_a_run_goes_on_from_there_to_a_third_store(
    filled: Store, other: Store, teacher: str, tmp_path: Path
):
    write_bundle(filled, teacher, tmp_path / "a.seglab")
    import_bundle(other, tmp_path / "a.seglab")
    write_bundle(other, teacher, tmp_path / "b.seglab", checkpoints=True)

    with Store.open(tmp_path / "third") as third:
        import_bundle(third, tmp_path / "b.seglab")

        assert everything(third, teacher) == everything(filled, teacher)
        assert run_digest(third, teacher) == run_digest(filled, teacher)


def test_a_fork_keeps_its_parent_although_that_stays_behind(
    filled: Store, other: Store, fork: str, teacher: str, tmp_path: Path
):
    write_bundle(filled, fork, tmp_path / "a.seglab")
    import_bundle(other, tmp_path / "a.seglab")

    row = get_run(other, fork)
    assert (row.parent_run_id, row.parent_step, row.status) == (teacher, 12, "stopped")
    assert row.config == get_run(filled, fork).config


def test_the_same_again_is_nothing_to_do(filled: Store, other: Store, teacher: str, tmp_path: Path):
    write_bundle(filled, teacher, tmp_path / "a.seglab")
    import_bundle(other, tmp_path / "a.seglab")
    before = everything(other, teacher)

    assert import_bundle(other, tmp_path / "a.seglab")[1] is False
    assert import_bundle(filled, tmp_path / "a.seglab")[1] is False
    assert everything(other, teacher) == before


def test_a_run_of_that_id_with_other_content_is_refused(
    filled: Store, other: Store, teacher: str, tmp_path: Path
):
    write_bundle(filled, teacher, tmp_path / "a.seglab")
    import_bundle(other, tmp_path / "a.seglab")
    add_event(other, teacher, 3, "note", {"text": "mine"})

    with pytest.raises(BundleError, match=f"the store has a run {teacher} with other content"):
        import_bundle(other, tmp_path / "a.seglab")


def test_files_come_along_and_checkpoints_when_asked_for(
    filled: Store, other: Store, teacher: str, tmp_path: Path
):
    without = write_bundle(filled, teacher, tmp_path / "without.seglab")
    with_them = write_bundle(filled, teacher, tmp_path / "with.seglab", checkpoints=True)

    import_bundle(other, tmp_path / "without.seglab")
    assert (other.run_directory(teacher) / "log.txt").read_text() == "25 steps recorded\n"
    assert not (other.run_directory(teacher) / "checkpoints").exists()

    import_bundle(other, tmp_path / "with.seglab")
    path = other.run_directory(teacher) / "checkpoints" / "step-20.pt"
    assert path.read_bytes() == b"not a real checkpoint"
    assert (without.checkpoints, with_them.checkpoints) == (False, True)


def test_an_interrupted_import_is_a_failed_run_that_says_so_and_is_done_again(
    filled: Store, other: Store, teacher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    write_bundle(filled, teacher, tmp_path / "a.seglab")
    with monkeypatch.context() as patched:
        patched.setattr(transfer, "_copy_whole", stop)
        with pytest.raises(KeyboardInterrupt):
            import_bundle(other, tmp_path / "a.seglab")
    row = get_run(other, teacher)
    assert (row.status, row.error) == ("failed", UNFINISHED)

    assert import_bundle(other, tmp_path / "a.seglab")[1] is True

    assert everything(other, teacher) == everything(filled, teacher)
    assert sorted(path.name[:1] for path in (other.root / "runs").iterdir()) == ["2"] * 2


def test_a_damaged_file_is_refused_and_leaves_nothing(
    filled: Store, other: Store, teacher: str, tmp_path: Path
):
    path = tmp_path / "a.seglab"
    write_bundle(filled, teacher, path)
    whole = path.read_bytes()
    before = [row.run_id for row in list_runs(other)]

    middle = len(whole) // 2
    for broken in (
        whole[:middle],
        whole[:middle] + bytes(64) + whole[middle + 64 :],
        b"hello",
        b"",
    ):
        path.write_bytes(broken)
        with pytest.raises(BundleError, match=r"a\.seglab"):
            import_bundle(other, path)

    assert [row.run_id for row in list_runs(other)] == before
    assert not other.run_directory(teacher).exists()


def rewritten(path: Path, changes: dict[str, Any]) -> Path:
    """The same file with other values in its manifest."""
    out = path.with_name("rewritten.seglab")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.infolist():
            body = old.read(member)
            if member.filename == "manifest.json":
                body = json.dumps(json.loads(body) | changes).encode()
            new.writestr(member.filename, body)
    return out


def test_a_newer_file_is_refused(filled: Store, other: Store, fork: str, tmp_path: Path):
    path = tmp_path / "a.seglab"
    write_bundle(filled, fork, path)

    with pytest.raises(BundleError, match=r"format 9, this seglab knows up to 1; upgrade seglab"):
        import_bundle(other, rewritten(path, {"format": 9}))
    with pytest.raises(BundleError, match="does not hold run 20200101"):
        import_bundle(other, rewritten(path, {"run_id": "20200101-000000-aaaa"}))
    for run_id in ("../up", 17, "", "/tmp/up"):
        with pytest.raises(BundleError, match="not a run written by seglab export: run_id"):
            import_bundle(other, rewritten(path, {"run_id": run_id}))


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("DROP TABLE label_masks", "its store.db has no table label_masks"),
        ("UPDATE runs SET config = '{'", "runs.config: '{', expected an object in JSON"),
        ("UPDATE runs SET config = '[]'", r"runs.config: '\[\]', expected an object in JSON"),
        ("UPDATE runs SET categories = '[{}]'", "cannot be read: "),
        ("UPDATE runs SET name = x'ff'", r"runs.name: b'\\xff', expected text"),
        (
            "UPDATE labels SET mask_quality = 'high' WHERE position = 1",
            "labels.mask_quality: 'high', expected a number",
        ),
        ("UPDATE labels SET gt_id = 1.5", "labels.gt_id: 1.5, expected a whole number"),
        ("UPDATE labels SET kept = 'yes'", "labels.kept: 'yes', expected a whole number"),
        ("UPDATE scalars SET value = x'00'", r"scalars.value: b'\\x00', expected a number"),
        ("UPDATE label_masks SET counts = 'abc'", "label_masks.counts: 'abc', expected bytes"),
        (
            f"UPDATE truths SET area = '{'long' * 100}'",
            rf"truths.area: '{'long' * 14}lon\.\.\., expected a number",
        ),
        (
            "UPDATE label_sets SET packed = substr(packed, 2)",
            r"label_sets.packed: \d+ bytes, which do not fit its candidates",
        ),
        ("UPDATE evaluations SET kinds = 'x'", "evaluations.kinds: 'x', expected an object"),
        ("UPDATE runs SET status = 'zzz'", "status 'zzz' of the run: expected queued, running"),
        (None, "its store.db: .*file is not a database"),
    ],
)
def test_a_store_inside_that_makes_no_sense_is_refused_by_the_name_of_the_file(
    filled: Store, other: Store, fork: str, tmp_path: Path, statement: str | None, reason: str
):
    before = [row.run_id for row in list_runs(other)]
    path = tmp_path / "a.seglab"
    write_bundle(filled, fork, path)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "open")
    if statement is None:
        (tmp_path / "open" / "store.db").write_bytes(b"hello" * 100)
    else:
        with sqlite3.connect(tmp_path / "open" / "store.db") as plain:
            plain.execute("PRAGMA journal_mode = DELETE")
            plain.execute(statement)
    shutil.make_archive(str(tmp_path / "hostile"), "zip", tmp_path / "open")

    with pytest.raises(BundleError, match=rf"hostile\.zip: damaged: .*{reason}"):
        import_bundle(other, tmp_path / "hostile.zip")

    assert [row.run_id for row in list_runs(other)] == before


@pytest.mark.parametrize("path", sorted(DIRECTORY.glob("*.sql")), ids=lambda path: path.stem)
def test_no_store_that_we_ever_wrote_has_a_misfit(tmp_path: Path, path: Path):
    restore(path, tmp_path)

    with Store.open(tmp_path, url=A_FILE) as store, store.reading() as connection:
        assert misfit(connection, tables.METADATA.sorted_tables) is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE runs SET train_dataset_id = 77",
        "UPDATE scalars SET name_id = 1000 + name_id",
        "UPDATE labels SET label_id = 1000000 + label_id",
    ],
)
def test_rows_that_do_not_belong_together_are_refused_and_leave_nothing(
    filled: Store, other: Store, fork: str, tmp_path: Path, statement: str
):
    before = {row.run_id: everything(other, row.run_id) for row in list_runs(other)}
    write_bundle(filled, fork, tmp_path / "a.seglab")
    with zipfile.ZipFile(tmp_path / "a.seglab") as archive:
        archive.extractall(tmp_path / "open")
    with sqlite3.connect(tmp_path / "open" / "store.db") as plain:
        plain.execute("PRAGMA journal_mode = DELETE")
        plain.execute(statement)
    shutil.make_archive(str(tmp_path / "hostile"), "zip", tmp_path / "open")

    with pytest.raises(BundleError, match=r"hostile\.zip: "):
        import_bundle(other, tmp_path / "hostile.zip")

    assert {row.run_id: everything(other, row.run_id) for row in list_runs(other)} == before


def test_a_member_without_a_name_is_passed_over(
    filled: Store, other: Store, fork: str, tmp_path: Path
):
    write_bundle(filled, fork, tmp_path / "a.seglab")
    with zipfile.ZipFile(tmp_path / "a.seglab", "a") as archive:
        archive.writestr(".", "nobody")

    assert import_bundle(other, tmp_path / "a.seglab")[1] is True


def test_a_newer_schema_is_refused(filled: Store, other: Store, fork: str, tmp_path: Path):
    path = tmp_path / "a.seglab"
    write_bundle(filled, fork, path)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "open")
    with sqlite3.connect(tmp_path / "open" / "store.db") as plain:
        plain.execute("PRAGMA journal_mode = DELETE")
        plain.execute("PRAGMA user_version = 999")
    shutil.make_archive(str(tmp_path / "newer"), "zip", tmp_path / "open")

    with pytest.raises(StoreTooNew, match=r"version 999.*upgrade seglab"):
        import_bundle(other, tmp_path / "newer.zip")


def test_names_that_lead_outside_are_left_out(
    filled: Store, other: Store, fork: str, tmp_path: Path
):
    path = tmp_path / "a.seglab"
    write_bundle(filled, fork, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("files/../../../outside.txt", "mine now")
        archive.writestr("/outside.txt", "mine now")

    import_bundle(other, path)

    assert list(tmp_path.rglob("outside.txt")) == []


def test_the_file_is_a_store_that_sqlite_reads(filled: Store, fork: str, tmp_path: Path):
    write_bundle(filled, fork, tmp_path / "a.seglab")
    with zipfile.ZipFile(tmp_path / "a.seglab") as archive:
        archive.extract("store.db", tmp_path)

    with sqlite3.connect(tmp_path / "store.db") as plain:
        assert plain.execute("SELECT run_id FROM runs").fetchall() == [(fork,)]
    manifest = read_manifest(tmp_path / "a.seglab")
    assert (manifest.run_id, manifest.name) == (fork, "teacher-strict")


def test_every_table_is_copied_or_left_behind_on_purpose():
    known = [*WHOLE, *TRANSLATED, *LEFT_BEHIND]

    assert sorted(t.name for t in known) == sorted(t.name for t in tables.METADATA.sorted_tables)


def test_labels_of_runs_that_were_recorded_at_once_do_not_mix(tmp_path: Path):
    """Label numbers of two runs interleave; sets without labels lie between them."""
    with Store.open(tmp_path / "a") as source, Store.open(tmp_path / "b") as target:
        runs = [create_run(source, RunConfig(name=name)) for name in "ab"]
        recorders = [StoreRecorder(source, run_id) for run_id in runs]
        for step in range(6):
            for index, recorder in enumerate(recorders):
                count = 0 if step == 3 else 2 + index
                recorder.pseudo_labels(step, [pseudo_labels(count, image_id=9, seed=step)])
                recorder.flush()
        for recorder in recorders:
            recorder.finish("finished")

        for run_id in reversed(runs):
            copy_run(source, target, run_id)

        for run_id in runs:
            assert everything(target, run_id) == everything(source, run_id)
            assert run_digest(target, run_id) == run_digest(source, run_id)
