"""Runs side by side: what differs in configs, scores and labels, by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.analysis.compare import (
    ImageLabels,
    config_differences,
    kept_labels,
    model_scores,
    same_labels,
)
from lab.analysis.run_comparison import compare_runs, label_differences
from lab.datasets.records import ErrorKind, LabelSource, PseudoLabels, Rle
from lab.store.queries import EvaluationRow, StepSummary, get_run
from lab.store.recorder import StoreRecorder
from lab.store.runs import create_run
from lab.store.store import Store
from tests.app.commands.conftest import CONFIG, SIDE, labels_of, record_by_hand
from tests.factories import rle


def square(left: int, top: int, side: int) -> Rle:
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[top : top + side, left : left + side] = True
    return rle(mask)


def image(*labels: tuple[int, Rle]) -> ImageLabels:
    return ImageLabels(
        np.array([label for label, _ in labels], np.int64), tuple(mask for _, mask in labels)
    )


def test_only_keys_that_differ_are_told_and_the_name_is_not():
    a = {"name": "a", "seed": 1, "method": {"name": "pl_dc", "mask_threshold": 0.9}}
    b = {"name": "b", "seed": 1, "method": {"name": "pl_dc", "mask_threshold": 0.8}}
    c = {"name": "c", "seed": 1, "method": {"name": "supervised"}}

    assert config_differences([a, b]) == {"method.mask_threshold": (0.9, 0.8)}
    assert config_differences([a, c]) == {
        "method.mask_threshold": (0.9, None),
        "method.name": ("pl_dc", "supervised"),
    }
    assert config_differences([a, a]) == config_differences([]) == {}


def evaluation(step: int, model: str, ap: float, split: str = "val") -> EvaluationRow:
    return EvaluationRow(step, split, model, {"AP": ap}, {"cat": ap + 1}, {"Cor": step})


def test_the_last_and_the_best_of_each_network_are_found():
    rows = [
        evaluation(30, "teacher", 20.0),
        evaluation(10, "teacher", 25.0),
        evaluation(20, "teacher", 25.0),
        evaluation(40, "student", math.nan),
        evaluation(99, "teacher", 90.0, split="train"),
    ]

    found = model_scores(rows)

    teacher = found["teacher"]
    assert (teacher.final_step, teacher.final["AP"]) == (30, 20.0)
    assert (teacher.best_step, teacher.best["AP"]) == (10, 25.0)
    assert (teacher.per_class, teacher.kinds) == ({"cat": 21.0}, {"Cor": 30})
    assert found["student"].best_step == 40
    assert model_scores([]) == {}


def summary(kept: dict[ErrorKind, int], truths: int, found: int) -> StepSummary:
    kinds = dict.fromkeys(ErrorKind, 0) | kept
    return StepSummary(0, 1, 10, sum(kept.values()), found, truths, found, kinds, kinds)


def test_kept_labels_are_added_up_before_they_are_divided():
    one = summary({ErrorKind.COR: 3, ErrorKind.BG: 1}, truths=4, found=3)
    two = summary({ErrorKind.COR: 1, ErrorKind.SIM: 3, ErrorKind.UNKNOWN: 5}, truths=6, found=1)

    added = kept_labels([one, two])

    # 4 of the 8 that can be judged; 4 of 10 truths.
    assert (added.kept, added.precision, added.recall) == (13, 0.5, 0.4)
    assert (added.kinds["cor"], added.candidates, added.steps) == (4, 20, 2)
    assert math.isnan(kept_labels([]).precision)


def test_labels_are_alike_by_class_and_half_their_pixels():
    left = image((0, square(0, 0, 8)), (1, square(16, 16, 8)))

    # 8x8 moved by 2: 48 / 80 = 0.6; by 3: 40 / 88 = 0.45. The second has another class.
    near = image((0, square(2, 0, 8)), (2, square(16, 16, 8)))
    far = image((0, square(3, 0, 8)))

    assert [one.tolist() for one in same_labels(left, near)] == [[True, False], [True, False]]
    assert [one.tolist() for one in same_labels(left, far)] == [[False, False], [False]]
    assert [one.tolist() for one in same_labels(left, image())] == [[False, False], []]
    assert [one.tolist() for one in same_labels(image(), image())] == [[], []]


def test_a_label_has_one_like_only_and_that_is_the_nearest():
    twins = image((0, square(0, 0, 8)), (0, square(1, 0, 8)))
    one = image((0, square(1, 0, 8)))

    assert [x.tolist() for x in same_labels(twins, one)] == [[False, True], [True]]


squares = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 20), st.integers(0, 20), st.integers(4, 10)),
    max_size=6,
)


@settings(max_examples=50, deadline=None)
@given(squares, squares)
def test_it_does_not_matter_which_run_comes_first(first, second):
    a, b = (image(*((c, square(x, y, side)) for c, x, y, side in one)) for one in (first, second))

    ours, theirs = same_labels(a, b)
    swapped = same_labels(b, a)

    assert ours.sum() == theirs.sum() == swapped[0].sum() == swapped[1].sum()
    assert all(found.all() for found in same_labels(a, a))


def record(store: Store, labels: list[PseudoLabels], *, step: int = 8, keep_every: int = 1) -> str:
    run_id = create_run(store, CONFIG.model_copy(update={"name": f"run {step} {len(labels)}"}))
    with StoreRecorder(store, run_id, keep_every=keep_every) as recorder:
        recorder.pseudo_labels(step, labels)
    return run_id


def test_what_one_run_keeps_and_the_other_does_not_is_named_with_its_kind(store: Store):
    """By hand: `labels_of` keeps a right cat and a wrong dog; the stricter run only the cat."""
    hand = get_run(store, record_by_hand(store))
    strict = replace(labels_of(1), kept=np.array([True, False, False, False]))
    other = get_run(store, record(store, [strict, labels_of(3)]))

    found = label_differences(store, (hand, other))

    assert (found.source, found.places, found.first_step, found.last_step) == ("pseudo", 1, 8, 8)
    assert found.in_both == 1
    only_hand, only_other = found.only
    assert (only_hand.count, only_hand.kinds, only_hand.classes) == (1, {"sim": 1}, {"dog": 1})
    assert only_hand.examples == ((8, 1, "dog", "sim", 0.76),)
    assert (only_other.count, only_other.examples) == (0, ())


def test_runs_that_never_saw_one_image_at_one_step_are_compared_on_probe_images(store: Store):
    probe = replace(labels_of(1), source=LabelSource.PROBE_TEACHER)
    runs = [record(store, [labels_of(image), probe]) for image in (5, 6)]

    found = label_differences(store, (get_run(store, runs[0]), get_run(store, runs[1])))

    assert (found.source, found.places, found.in_both) == ("probe_teacher", 1, 2)


def test_without_masks_or_a_shared_image_nothing_is_compared(store: Store):
    with_masks, without = record(store, [labels_of(1)]), record(store, [labels_of(1)], keep_every=3)

    found = label_differences(store, (get_run(store, with_masks), get_run(store, without)))

    assert (found.places, found.in_both, found.first_step) == (0, 0, None)


def test_a_window_chooses_the_steps(store: Store):
    hand = get_run(store, record_by_hand(store))
    twin = get_run(store, record(store, [labels_of(1)], step=4))

    both = compare_runs(store, [hand, twin])
    late = compare_runs(store, [hand, twin], first_step=5)

    assert (both.labels[0].places, both.labels[0].in_both) == (1, 2)
    assert both.runs[0].kept.kept == 8
    assert late.labels[0].places == 0
    assert (late.runs[0].kept.kept, late.runs[1].kept.kept) == (4, 0)
