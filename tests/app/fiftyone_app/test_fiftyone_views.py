"""Which labels a view holds."""

from __future__ import annotations

from app.fiftyone.request import LabelField
from app.fiftyone.views import chosen, confusion_view, kind_view, moving_views, standing_views
from lab.datasets.records import ErrorKind

LATEST = LabelField("latest", "run", "pseudo", None, "PL-DC")


def label(**changes: object) -> dict[str, object]:
    return {
        **{"kind": "Cor", "kept": True, "label": "cat", "gt_class": "cat", "area": 100.0},
        **{"class_quality": 0.75, "mask_quality": 0.5, "score": 0.375},
        **changes,
    }


def bars(class_quality: float, mask_quality: float) -> dict[str, float]:
    return {"class_quality": class_quality, "mask_quality": mask_quality}


def test_a_view_of_a_kind_holds_the_kept_labels_of_that_kind():
    sim = kind_view("latest", ErrorKind.SIM)

    assert chosen(sim, label(kind="Sim"))
    assert not chosen(sim, label(kind="Sim", kept=False))
    assert not chosen(sim, label(kind="Oth"))


def test_a_view_of_everything_of_a_kind_holds_the_dropped_ones_too():
    every = kind_view("latest", ErrorKind.SIM, kept_only=False)

    assert chosen(every, label(kind="Sim", kept=False))


def test_a_label_on_the_new_threshold_enters():
    enters, leaves = moving_views("latest", bars(0.75, 0.5), min_area=5)
    dropped = label(kept=False)

    assert chosen(enters, dropped)
    assert not chosen(enters, dropped | {"mask_quality": 0.499})
    assert not chosen(leaves, label())
    assert chosen(leaves, label(class_quality=0.749))


def test_a_mask_that_is_too_small_never_enters():
    enters, _ = moving_views("latest", bars(0.0, 0.0), min_area=100)

    assert not chosen(enters, label(kept=False, area=100.0))
    assert chosen(enters, label(kept=False, area=101.0))


def test_a_coupled_threshold_stands_in_for_both():
    enters, leaves = moving_views("latest", {"score": 0.375}, min_area=0)

    assert chosen(enters, label(kept=False))
    assert not chosen(leaves, label())


def test_thresholds_are_compared_as_labels_are_recorded():
    """0.7 in 32 bits is a little less than 0.7: a label recorded with it is on the threshold."""
    enters, _ = moving_views("latest", bars(0.7, 0.0), min_area=0)

    assert chosen(enters, label(kept=False, class_quality=0.699999988079071))


def test_a_cell_of_the_confusion_matrix_is_a_view():
    cats_that_are_dogs = confusion_view("latest", "cat", "dog")
    cats_on_nothing = confusion_view("latest", "cat", None)

    assert chosen(cats_that_are_dogs, label(gt_class="dog"))
    assert not chosen(cats_that_are_dogs, label())
    assert not chosen(cats_that_are_dogs, label(gt_class="dog", kind="ignored"))
    assert chosen(cats_on_nothing, {"kept": True, "label": "cat", "kind": "BG"})
    assert not chosen(cats_on_nothing, {"kept": True, "label": "cat", "kind": "unknown"})


def test_the_most_trusted_mistakes_are_kept_and_wrong():
    (view,) = [one for one in standing_views(LATEST) if "wrong" in one.name]

    assert chosen(view, label(kind="Loc"))
    assert not chosen(view, label())
    assert not chosen(view, label(kind="Loc", kept=False))
    assert (view.sort, view.descending) == ("mask_quality", True)


def test_no_two_views_share_a_name():
    names = [view.name for view in standing_views(LATEST)]

    assert len(names) == len(set(names)) == 15
