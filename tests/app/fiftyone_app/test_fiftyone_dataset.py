"""A dataset in a real MongoDB says what the store says."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.fiftyone.attributes import KIND_NAMES
from app.fiftyone.database import Address
from app.fiftyone.request import Request, build_request
from app.fiftyone.views import chosen, standing_views
from lab.datasets.records import ErrorKind
from lab.datasets.rle import decode
from lab.store.queries import (
    LABEL_COLUMNS,
    LabelFilter,
    get_run,
    image_record,
    label_masks,
    newest_columns,
)
from lab.store.store import Store

pytestmark = pytest.mark.fiftyone


@pytest.fixture(scope="module")
def request_of_teacher(fiftyone_lab: Store) -> Request:
    run = get_run(fiftyone_lab, "teacher")
    other = get_run(fiftyone_lab, "teacher-strict")
    return build_request(fiftyone_lab.root, run, iterations=(4,), last=True, others=(other,))


@pytest.fixture(scope="module")
def shown(fiftyone_lab: Store, mongo: Address, request_of_teacher: Request) -> Any:
    """The dataset of two runs, two iterations each."""
    from app.fiftyone.showing import show

    return show(fiftyone_lab, request_of_teacher)[1]


@pytest.fixture(scope="module")
def stored(fiftyone_lab: Store) -> dict[str, np.ndarray]:
    """What the store says of the newest labels."""
    run_id = get_run(fiftyone_lab, "teacher").run_id
    return newest_columns(fiftyone_lab, run_id, LabelFilter(), LABEL_COLUMNS)


def all_labels(dataset: Any, field: str) -> Sequence[Any]:
    return [label for sample in dataset for label in sample[field].detections]


def test_every_kind_is_counted_as_in_the_store(shown: Any, stored: dict[str, np.ndarray]):
    wanted = Counter(KIND_NAMES[ErrorKind(kind)] for kind in stored["kind"].tolist())

    assert shown.count_values("latest.detections.kind") == wanted
    assert shown.count_values("latest.detections.kept") == Counter(stored["kept"].tolist())


def test_scores_are_the_recorded_ones_and_absent_where_none_was(
    shown: Any, stored: dict[str, np.ndarray]
):
    places = {one: place for place, one in enumerate(stored["label_id"].tolist())}

    for label in all_labels(shown, "latest"):
        place = places[label.label_id]
        for name in ("class_quality", "mask_quality", "true_iou", "clip_before", "uncertainty"):
            value = float(stored[name][place])
            assert label.get_attribute_value(name, None) == (None if np.isnan(value) else value)
        assert label.confidence == float(stored["score"][place])


def test_masks_are_the_stored_ones_pixel_for_pixel(
    shown: Any, fiftyone_lab: Store, stored: dict[str, np.ndarray]
):
    masks = label_masks(fiftyone_lab, stored["label_id"].tolist())

    for sample in shown:
        height, width = sample.metadata.height, sample.metadata.width
        for label in sample.latest.detections:
            x, y = label.bounding_box[0] * width, label.bounding_box[1] * height
            whole = np.zeros((height, width), np.bool_)
            rows, columns = label.mask.shape
            whole[round(y) : round(y) + rows, round(x) : round(x) + columns] = label.mask
            assert (whole == decode(masks[label.label_id])).all()


def test_the_truth_is_whole(shown: Any, fiftyone_lab: Store, request_of_teacher: Request):
    for sample in shown:
        record = image_record(fiftyone_lab, request_of_teacher.run_id, sample.image_id)
        ids = [one.annotation_id for one in sample.ground_truth.detections]
        assert ids == [one.annotation_id for one in record.annotations]


def test_views_hold_what_they_say(shown: Any, request_of_teacher: Request):
    latest = request_of_teacher.fields[1]

    for plan in standing_views(latest):
        view = shown.load_saved_view(plan.name)
        every = all_labels(shown, plan.field)
        wanted = sum(chosen(plan, one.to_dict()) for one in every)
        place = plan.field if plan.as_patches else f"{plan.field}.detections"
        found = view.count(place)
        assert found == wanted, plan.name


def test_our_documents_are_those_that_fiftyone_itself_writes(shown: Any):
    """Read by FiftyOne's objects and written by them again, nothing changes."""
    raw = shown._sample_collection.find_one()
    sample = shown[str(raw["_id"])]

    again = sample.to_mongo_dict(include_id=True)

    for name in ("ground_truth", "latest", "metadata", "filepath", "tags", "image_id"):
        assert without_nothing(again[name]) == without_nothing(raw[name]), name


def test_opening_it_again_writes_nothing(
    shown: Any, fiftyone_lab: Store, request_of_teacher: Request
):
    from app.fiftyone.showing import show

    filled, _ = show(fiftyone_lab, request_of_teacher)

    assert filled.new_images == 0
    assert set(filled.written.values()) == {0}


def test_images_lead_to_the_dashboard_where_it_is_now(
    shown: Any, fiftyone_lab: Store, request_of_teacher: Request
):
    from app.fiftyone.showing import show

    show(fiftyone_lab, replace(request_of_teacher, dashboard="http://127.0.0.1:9"))
    there = shown.first()

    shown.reload()
    page = f"http://127.0.0.1:9/labels?run={request_of_teacher.run_id}&span=0"
    assert shown.first().lab == f"{page}&image={there.image_id}"


def test_on_images_no_truth_lies_under_a_label_that_stands_against_it(shown: Any):
    """A kept label of another class covers it by half: only the label is drawn."""
    key = "eval_latest"
    for name in ("latest: Sim", "latest: Oth", "latest: Cor"):
        for sample in shown.load_saved_view(name):
            for truth in sample.ground_truth.detections:
                assert truth.get_attribute_value(key) == "fn"
                assert truth.get_attribute_value(f"{key}_id", None) is None


@pytest.mark.parametrize("where", ["images", "latest"])
def test_an_import_that_was_cut_off_is_finished_by_the_next(
    fiftyone_lab: Store, mongo: Address, where: str
):
    from app.fiftyone.showing import show

    run = get_run(fiftyone_lab, "teacher-strict")
    request = replace(build_request(fiftyone_lab.root, run), dataset=f"cut-off-{where}")

    def cut(done: int, total: int, what: str) -> None:
        if what == where:
            raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        show(fiftyone_lab, request, cut)
    _, dataset = show(fiftyone_lab, request)

    columns = newest_columns(fiftyone_lab, run.run_id, LabelFilter(), LABEL_COLUMNS)
    stored = sorted(dataset.values("latest.detections.label_id", unwind=True))
    assert stored == sorted(columns["label_id"].tolist())
    assert dataset.has_evaluation("eval_latest")
    assert set(dataset.list_saved_views()) == {
        plan.name for plan in standing_views(request.fields[0])
    }


def test_the_evaluation_panel_has_its_numbers(shown: Any, request_of_teacher: Request):
    latest = request_of_teacher.fields[1]
    results = shown.load_evaluation_results(latest.eval_key)
    verdicts = shown.count_values(f"latest.detections.{latest.eval_key}")

    right = (results.ytrue == results.ypred).sum()
    assert right == verdicts.get("tp", 0)
    assert len(results.ypred_ids) >= verdicts.get("tp", 0) + verdicts.get("fp", 0)


def test_a_note_says_what_the_numbers_are_of_and_never_replaces_somebodys(
    shown: Any, fiftyone_lab: Store, request_of_teacher: Request
):
    from fiftyone.operators.store import ExecutionStore

    from app.fiftyone.evaluation_notes import STORE, evaluation_id
    from app.fiftyone.showing import evaluate

    field = request_of_teacher.fields[1]
    kept = ExecutionStore.create(STORE, shown._doc.id)

    def notes_again() -> dict[str, str]:
        evaluate(fiftyone_lab, request_of_teacher, shown, [field])
        return kept.get("notes") or {}

    ours = notes_again()
    own = evaluation_id(shown, field.eval_key) or ""
    kept.set("notes", {**ours, own: "look at the cats"})
    theirs = notes_again()

    assert "mAP and mAR are COCO's, of all labels by score" in ours[own]
    assert "counts in precision, recall and the confusion matrix" in ours[own]
    assert theirs[evaluation_id(shown, field.eval_key) or ""] == "look at the cats"
    assert len(theirs) == len(ours)


def test_our_ious_are_those_of_fiftyones_masks(shown: Any, request_of_teacher: Request):
    from fiftyone.utils.iou import compute_ious

    key = request_of_teacher.fields[1].eval_key
    checked = 0
    for sample in shown:
        kept = [one for one in sample.latest.detections if one.kept]
        truths = sample.ground_truth.detections
        if not kept or not truths:
            continue
        ious = compute_ious(kept, truths, use_masks=True, classwise=False)
        ids = [one.id for one in truths]
        for row, label in zip(ious, kept, strict=True):
            partner = label.get_attribute_value(f"{key}_id", None)
            if partner is not None:
                iou = label.get_attribute_value(f"{key}_iou")
                assert iou == pytest.approx(row[ids.index(partner)], abs=0.03)
                checked += 1
    assert checked > 0


def test_predictions_that_are_the_truth_have_no_errors(fiftyone_lab: Store, mongo: Address):
    run = get_run(fiftyone_lab, "baseline")
    directory = fiftyone_lab.run_directory(run.run_id) / "predictions"
    directory.mkdir(parents=True, exist_ok=True)
    from lab.store.queries import images_of

    results = [
        {
            "image_id": image.image_id,
            "category_id": run.categories[one.label].category_id,
            "segmentation": {
                "size": [one.mask.height, one.mask.width],
                "counts": one.mask.counts.decode(),
            },
            "score": 0.9,
        }
        for image in images_of(fiftyone_lab, run.run_id, "val")
        for one in image.annotations
        if one.mask is not None
    ]
    (directory / "val-student.json").write_text(json.dumps(results))
    request = build_request(fiftyone_lab.root, run, evaluation=True)
    request = replace(request, fields=request.fields[1:])
    from app.fiftyone.showing import show

    filled, dataset = show(fiftyone_lab, request)

    assert dataset.count_values("student.detections.kind") == {"Cor": len(results)}
    assert dataset.sum("eval_student_fp") == dataset.sum("eval_student_fn") == 0
    assert filled.images == 4
    assert dataset.load_evaluation_results("eval_student").mAP() == 1
    assert dataset.load_evaluation_results("eval_student").mAR() == 1


def without_nothing(document: Any) -> Any:
    """Without None, which is the same as absent; masks as what is in them."""
    if isinstance(document, dict):
        kept = {name: value for name, value in document.items() if value is not None}
        return {
            name: zlib.decompress(value) if name == "mask" else without_nothing(value)
            for name, value in kept.items()
        }
    return [without_nothing(one) for one in document] if isinstance(document, list) else document
