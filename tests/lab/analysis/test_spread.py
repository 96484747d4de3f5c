"""Mean and spread over seeds, by hand."""

from __future__ import annotations

from math import isnan, nan

import pytest

from lab.analysis.spread import paired_difference, spread


def test_the_spread_is_the_sample_s():
    """Mean (20 + 22 + 27) / 3 = 23; squares 9 + 1 + 16 = 26; sqrt(26 / 2) = 3.6056."""
    found = spread([20.0, 22.0, 27.0])

    assert (found.mean, found.count) == (23.0, 3)
    assert found.deviation == pytest.approx(13**0.5)


def test_one_value_has_no_spread_and_none_has_no_mean():
    assert spread([5.0]).mean == 5.0
    assert isnan(spread([5.0]).deviation)
    assert isnan(spread([]).mean)
    assert spread([]).count == 0


def test_what_is_unknown_is_left_out():
    assert spread([nan, 4.0, 6.0]).mean == 5.0
    assert spread([nan, 4.0, 6.0]).count == 2


def test_differences_are_taken_seed_by_seed_where_both_are_known():
    """Seed 0: 21 - 20 = 1; seed 1: 33 - 30 = 3; seeds 2 and 5 have no partner. sqrt(2) = 1.414."""
    found = paired_difference({0: 21.0, 1: 33.0, 2: 90.0}, {1: 30.0, 0: 20.0, 5: 1.0})

    assert (found.mean, found.count) == (2.0, 2)
    assert found.deviation == pytest.approx(2**0.5)
