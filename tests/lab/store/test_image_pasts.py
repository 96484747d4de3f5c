"""Which images were looked at, how often, and when."""

from __future__ import annotations

from lab.datasets.records import LabelSource
from lab.store.queries import ImagePast, image_pasts, image_steps
from lab.store.recorder import StoreRecorder
from tests.factories import pseudo_labels

PROBE = LabelSource.PROBE_TEACHER


def test_the_image_that_was_looked_at_most_often_comes_first(store, run_id):
    with StoreRecorder(store, run_id) as recorder:
        for step in (0, 5, 9):
            images = (3, 7) if step != 5 else (7,)
            recorder.pseudo_labels(step, [pseudo_labels(4, image_id=one) for one in images])
        recorder.pseudo_labels(9, [pseudo_labels(0, image_id=8, source=PROBE)])

    kept = {one: int(pseudo_labels(4, image_id=one).kept.sum()) for one in (3, 7)}
    assert image_pasts(store, run_id, LabelSource.PSEUDO) == [
        ImagePast(7, 3, 3 * kept[7]),
        ImagePast(3, 2, 2 * kept[3]),
    ]
    assert image_steps(store, run_id, LabelSource.PSEUDO, 3).tolist() == [0, 9]
    # A look that found nothing is a look.
    assert image_pasts(store, run_id, PROBE) == [ImagePast(8, 1, 0)]
    assert image_steps(store, run_id, PROBE, 8).tolist() == [9]


def test_an_image_that_nobody_looked_at_has_no_past(store, run_id):
    assert image_pasts(store, run_id, PROBE) == []
    assert image_steps(store, run_id, PROBE, 1).tolist() == []
