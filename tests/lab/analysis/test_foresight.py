"""What was foretold beside what happened, by hand."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest

from lab.analysis.foresight import Foresight, kind_shares
from lab.analysis.what_if import Answer, answer
from lab.datasets.records import ErrorKind


def labels(cor: int, loc: int, sim: int, oth: int, bg: int, found: int, truths: int) -> Answer:
    """Kinds in the order of ErrorKind, one label without truth among them."""
    counts = np.zeros(len(ErrorKind) + 1, np.int32)
    for kind, count in zip(
        (ErrorKind.COR, ErrorKind.LOC, ErrorKind.SIM, ErrorKind.OTH, ErrorKind.BG),
        (cor, loc, sim, oth, bg),
        strict=True,
    ):
        counts[kind] = count
    counts[ErrorKind.UNKNOWN] = 1
    counts[-1] = found
    return answer(counts, truths)


def test_gaps_are_what_happened_less_what_was_foretold():
    """Foretold 6 of 8 right, 5 of 10 found; happened 9 of 15 right, 8 of 10 found."""
    both = Foresight(labels(6, 0, 1, 0, 1, 5, 10), labels(9, 3, 1, 1, 1, 8, 10))

    assert both.kept_ratio == 16 / 9
    assert both.precision_gap == pytest.approx(0.6 - 0.75)
    assert both.recall_gap == pytest.approx(0.3)


def test_the_mix_distance_is_the_share_that_changed_its_kind():
    """Shares 6/8 0 1/8 0 1/8 against 4/8 2/8 1/8 0 1/8: a quarter went from Cor to Loc."""
    both = Foresight(labels(6, 0, 1, 0, 1, 5, 10), labels(4, 2, 1, 0, 1, 4, 10))

    assert both.mix_distance == pytest.approx(0.25)
    assert Foresight(both.foretold, both.foretold).mix_distance == 0


def test_without_labels_nothing_can_be_said():
    nothing = answer(np.zeros(len(ErrorKind) + 1, np.int32), 10)
    both = Foresight(nothing, labels(1, 0, 0, 0, 0, 1, 10))

    assert isnan(both.kept_ratio)
    assert isnan(both.precision_gap)
    assert isnan(both.mix_distance)
    assert both.recall_gap == pytest.approx(0.1)
    assert all(isnan(share) for share in kind_shares(nothing))
