"""Pixels and prototypes: shares that fill every prototype alike."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.pseudo_labels.sinkhorn import assigned, sinkhorn

SCORES = torch.tensor([[0.9, 0.1], [0.8, 0.3], [0.2, 0.7]])
"""I2."""


def close(found: torch.Tensor, expected: list[list[float]] | list[float]) -> None:
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-6, rtol=0)


def test_three_steps_fill_the_prototypes_nearly_alike():
    """I2."""
    shares = sinkhorn(SCORES)

    close(shares, [[0.999972, 0.000028], [0.989010, 0.010990], [0.0, 1.0]])
    close(shares.sum(dim=0), [1.988982, 1.011018])
    assert assigned(shares).tolist() == [0, 0, 1]


def test_many_steps_fill_them_alike():
    shares = sinkhorn(SCORES, steps=200)

    close(shares[1], [0.502449, 0.497551])
    close(shares.sum(dim=0), [1.5, 1.5])


def test_when_all_prefer_one_prototype_the_weakest_has_to_leave():
    """I2b."""
    shares = sinkhorn(torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.8, 0.1]]))

    close(shares, [[0.607794, 0.392206]] * 3 + [[0.173367, 0.826633]])
    assert assigned(shares).tolist() == [0, 0, 0, 1]


cosines = st.floats(-1, 1, width=32)


@settings(deadline=None)
@given(st.lists(st.lists(cosines, min_size=3, max_size=3), min_size=1, max_size=12))
def test_a_pixel_is_shared_out_completely_and_prototypes_get_equal_parts(rows: list[list[float]]):
    """Smooth enough to settle within the steps: exp(2 / .5) is 55 at most between two scores."""
    shares = sinkhorn(torch.tensor(rows), smoothness=0.5, steps=300)

    torch.testing.assert_close(shares.sum(dim=1), torch.ones(len(rows)), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        shares.sum(dim=0), torch.full((3,), len(rows) / 3), atol=1e-3, rtol=1e-3
    )


@settings(deadline=None)
@given(st.lists(st.lists(cosines, min_size=2, max_size=2), min_size=1, max_size=8), st.data())
def test_the_order_of_pixels_does_not_matter(rows: list[list[float]], data: st.DataObject):
    order = torch.tensor(data.draw(st.permutations(range(len(rows)))))
    scores = torch.tensor(rows)

    torch.testing.assert_close(sinkhorn(scores[order]), sinkhorn(scores)[order])


def test_scores_that_would_overflow_do_not():
    """exp(1 / .001) is beyond any float."""
    shares = sinkhorn(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]), smoothness=0.001)

    close(shares, [[1.0, 0.0], [0.0, 1.0]])


def test_no_pixels_have_no_shares():
    nothing = sinkhorn(torch.zeros(0, 4))

    assert nothing.shape == (0, 4)
    assert assigned(nothing).shape == assigned(nothing, drawn=True).shape == (0,)


def test_with_fewer_pixels_than_prototypes_each_pixel_still_belongs_to_one():
    shares = sinkhorn(torch.tensor([[0.9, 0.1, 0.0, -0.5]]))

    close(shares.sum(dim=1), [1.0])
    assert assigned(shares).shape == (1,)


def test_a_drawn_prototype_is_drawn_by_the_shares():
    """2000 pixels, three in four to the first: 1500, give or take four deviations of 19."""
    torch.manual_seed(0)
    shares = torch.tensor([[0.75, 0.25]]).expand(2000, 2)

    assert (assigned(shares, drawn=True) == 0).sum().item() == pytest.approx(1500, abs=78)
    assert assigned(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), drawn=True).tolist() == [0, 1]
