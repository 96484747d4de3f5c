"""How masks were made of boxes: recorded, asked for, and absent where there is nothing to say."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from lab.analysis.judge import build_judge
from lab.datasets.records import BoxScores, PseudoLabels
from lab.store.packing import BOX_COLUMNS, PACKED_BOX_3, pack_boxes, unpack_boxes
from lab.store.queries import (
    LABEL_COLUMNS,
    LabelFilter,
    find_labels,
    label_columns,
    list_runs,
)
from lab.store.recorder import StoreRecorder
from lab.store.store import Store
from tests.factories import painted_dataset, pseudo_labels
from tests.lab.store.old_stores import boxes_path_of, path_of, restore

JUDGED = ("target_ids", "target_ious", "single_masks", "single_ious")
SCORES = tuple(f.name for f in fields(BoxScores) if f.name not in JUDGED)


def with_boxes(labels: PseudoLabels) -> PseudoLabels:
    rng = np.random.default_rng(len(labels))
    scores = {name: rng.random(len(labels)).astype(np.float32) for name in SCORES}
    scores["depth_score"] = np.full(len(labels), np.nan, np.float32)
    ids = 2**40 + np.arange(len(labels))
    ious, single = rng.random((2, len(labels))).astype(np.float32)
    made = BoxScores(ids, **scores, target_ious=ious, single_ious=single)
    return replace(labels, box_scores=made)


@pytest.fixture
def recorded(store, run_id):
    """Step 1: four labels made from boxes; step 2: three that were not."""
    boxed, plain = with_boxes(pseudo_labels(4, image_id=3)), pseudo_labels(3, image_id=4)
    with StoreRecorder(store, run_id) as recorder:
        recorder.pseudo_labels(1, [boxed])
        recorder.pseudo_labels(2, [plain])
    return store, run_id, boxed


def test_a_page_holds_every_score_as_it_was_recorded(recorded):
    store, run_id, boxed = recorded

    rows = find_labels(store, run_id, LabelFilter(last_step=1), sort="label_id").rows

    for index, row in enumerate(rows):
        assert row.target_id == boxed.box_scores.target_ids[index]
        assert row.target_iou == boxed.box_scores.target_ious[index]
        assert row.single_iou == boxed.box_scores.single_ious[index]
        for name in SCORES:
            np.testing.assert_array_equal(
                getattr(row, name), getattr(boxed.box_scores, name)[index], name
            )


def test_other_labels_have_none(recorded):
    store, run_id, _ = recorded

    for row in find_labels(store, run_id, LabelFilter(first_step=2)).rows:
        assert row.target_id == -1
        assert all(np.isnan(getattr(row, name)) for name in (*SCORES, "target_iou", "single_iou"))


def test_columns_say_what_rows_say(recorded):
    store, run_id, _ = recorded
    rows = find_labels(store, run_id, LabelFilter(), sort="label_id").rows

    columns = label_columns(store, run_id, LabelFilter(), LABEL_COLUMNS)

    for name in BOX_COLUMNS:
        values = np.array([getattr(row, name) for row in rows], columns[name].dtype)
        np.testing.assert_array_equal(columns[name], values)


def test_a_range_of_a_score_leaves_labels_without_it_out(recorded):
    store, run_id, boxed = recorded
    chosen = LabelFilter(ranges={"mask_score": (0.0, None)})

    page = find_labels(store, run_id, chosen, sort="mask_score", descending=True)
    columns = label_columns(store, run_id, chosen, ("label_id", "target_id"))

    best_first = np.sort(boxed.box_scores.mask_score)[::-1]
    assert [row.mask_score for row in page.rows] == best_first.tolist()
    assert sorted(columns["target_id"].tolist()) == boxed.box_scores.target_ids.tolist()


def test_packing_loses_nothing():
    packed = pack_boxes(with_boxes(pseudo_labels(5)))

    assert packed is not None
    assert unpack_boxes([packed[:2].tobytes(), packed[2:].tobytes()], [2, 3]).tobytes() == (
        packed.tobytes()
    )
    mixed = unpack_boxes([None, packed.tobytes(), None], [2, 5, 1])
    assert mixed["target_id"].tolist() == [-1, -1, *packed["target_id"].tolist(), -1]
    assert len(unpack_boxes([], [])) == 0
    assert pack_boxes(pseudo_labels(5)) is None


def test_a_store_from_before_takes_box_scores(tmp_path: Path):
    """Version 2 had no such columns: its labels have none, new ones do."""
    restore(path_of(2), tmp_path)

    with Store.open(tmp_path) as store:
        _, run = list_runs(store)
        old = find_labels(store, run.run_id, LabelFilter()).rows
        ids = label_columns(store, run.run_id, LabelFilter(), ("target_id", "mask_score"))

    assert len(old) > 0
    assert {row.target_id for row in old} == set(ids["target_id"].tolist()) == {-1}
    assert np.isnan(ids["mask_score"]).all()


def test_bytes_of_an_older_schema_are_read_beside_new_ones():
    packed = pack_boxes(with_boxes(pseudo_labels(5)))
    assert packed is not None
    names = list(PACKED_BOX_3.names or ())
    old = np.empty(5, PACKED_BOX_3)
    for name in names:
        old[name] = packed[name]
    assert len(old.tobytes()) == 5 * 48

    only_old = unpack_boxes([old.tobytes()], [5])
    mixed = unpack_boxes([old[:2].tobytes(), None, packed[2:].tobytes()], [2, 1, 3])

    for name in names:
        np.testing.assert_array_equal(only_old[name], packed[name])
    assert np.isnan(only_old["single_iou"]).all()
    assert mixed["target_id"].tolist() == np.insert(packed["target_id"], 2, -1).tolist()
    assert np.isnan(mixed["single_iou"][:3]).all()
    assert mixed["single_iou"][3:].tolist() == packed["single_iou"][2:].tolist()


def test_a_run_recorded_before_goes_on_with_single_ious(tmp_path: Path):
    """Version 3 had no such column: rows and bytes of then are read, and new ones beside them."""
    restore(boxes_path_of(3), tmp_path)
    with Store.open(tmp_path) as store:
        (run,) = list_runs(store)
        old = find_labels(store, run.run_id, LabelFilter(), sort="label_id").rows
        before = label_columns(store, run.run_id, LabelFilter(), ("target_iou", "single_iou"))
        boxed = with_boxes(pseudo_labels(4, image_id=3))
        with StoreRecorder(store, run.run_id) as recorder:
            recorder.pseudo_labels(7, [boxed])
        after = label_columns(store, run.run_id, LabelFilter(), ("target_id", "single_iou"))

    assert len(old) > 3
    assert all(np.isnan(row.single_iou) and 0 <= row.target_iou <= 1 for row in old)
    assert before["target_iou"].tolist() == [row.target_iou for row in old]
    assert np.isnan(before["single_iou"]).all()
    assert after["target_id"].tolist()[:-4] == [row.target_id for row in old]
    assert after["single_iou"].tolist()[-4:] == boxed.box_scores.single_ious.tolist()


def test_a_score_column_of_another_length_is_refused():
    labels = with_boxes(pseudo_labels(4))

    with pytest.raises(ValueError, match=r"BoxScores.box_score of image 1: 3 entries for 4"):
        replace(labels, box_scores=replace(labels.box_scores, box_score=np.zeros(3, np.float32)))


def test_the_judge_measures_each_mask_against_the_truth_it_was_made_for(tmp_path: Path):
    """A perfect mask of annotation a, recorded as made for b, has IoU 1 with a and less with b."""
    dataset = painted_dataset(tmp_path, "d", 6, 64, 3)
    image = next(one for one in dataset.images if len(one.annotations) >= 2)
    first, second = image.annotations[:2]
    labels = with_boxes(pseudo_labels(3, image_id=image.image_id, side=64, judged=False))
    labels = replace(labels, masks=(first.mask, first.mask, first.mask))
    ids = np.array([first.annotation_id, second.annotation_id, 999_999])
    labels = replace(
        labels, box_scores=replace(labels.box_scores, target_ids=ids, target_ious=None)
    )

    judged = build_judge(dataset)(labels).box_scores

    assert judged.target_ious[0] == pytest.approx(1.0)
    assert judged.target_ious[1] < 0.5
    assert np.isnan(judged.target_ious[2])
    assert judged.single_ious is None


def test_the_judge_measures_single_masks_too_and_lets_them_go(tmp_path: Path):
    """The fused mask is that of annotation a, the single one in its place that of b."""
    dataset = painted_dataset(tmp_path, "d", 6, 64, 3)
    image = next(one for one in dataset.images if len(one.annotations) >= 2)
    a, b = image.annotations[:2]
    labels = with_boxes(pseudo_labels(3, image_id=image.image_id, side=64, judged=False))
    scores = replace(
        labels.box_scores,
        target_ids=np.array([a.annotation_id, b.annotation_id, 999_999]),
        single_masks=(b.mask, b.mask, b.mask),
    )
    labels = replace(labels, masks=(a.mask, a.mask, a.mask), box_scores=scores)

    judged = build_judge(dataset)(labels).box_scores
    elsewhere = build_judge(dataset)(replace(labels, image_id=77)).box_scores

    assert judged.target_ious.tolist()[0] == judged.single_ious.tolist()[1] == 1
    assert judged.single_ious[0] == judged.target_ious[1] < 0.5
    assert np.isnan(judged.single_ious[2])
    assert judged.single_masks is elsewhere.single_masks is None
    assert elsewhere.single_ious is None


def test_an_image_without_masks_has_no_single_ones_either(tmp_path: Path):
    dataset = painted_dataset(tmp_path, "d", 2, 64, 3)
    labels = with_boxes(pseudo_labels(0, image_id=1, side=64, judged=False))
    labels = replace(labels, box_scores=replace(labels.box_scores, single_masks=()))

    judged = build_judge(dataset)(labels).box_scores

    assert len(judged.target_ious) == len(judged.single_ious) == 0
