"""Neighbours are joined when colour and feature agree."""

from __future__ import annotations

import math

import pytest
import torch

from engine.interfaces import ViewGeometry
from engine.losses.pairwise import Offset
from engine.losses.semantic_affinity import feature_similarity, semantic_affinity
from lab.config import BoxLossConfig

SIDE = 4
VIEW = ViewGeometry(SIDE, SIDE, False, 1.0, 1.0, 0.0, 0.0, SIDE, SIDE)
NEXT = 0
"""Of the four offsets the first: the neighbour to the right."""


def edges(features: torch.Tensor, unseen: torch.Tensor, threshold: float) -> torch.Tensor:
    """(h, w - 1) edges to the right in a grey image, where colours join everything."""
    found = semantic_affinity(
        torch.full((1, 3, SIDE, SIDE), 0.5),
        features,
        unseen,
        [VIEW],
        1,
        BoxLossConfig(colour_threshold=threshold, dilation=1, bottom_rows=0),
    )
    return found.forth[NEXT][0]


def halves() -> torch.Tensor:
    """Unit vectors: (1, 0) on the left half, (0, 1) on the right, sqrt(2) apart."""
    features = torch.zeros(1, 2, SIDE, SIDE)
    features[0, 0, :, :2], features[0, 1, :, 2:] = 1.0, 1.0
    return features


def test_the_similarity_of_features_falls_with_their_distance():
    found = feature_similarity(halves(), Offset(0, 1))[0, 0]

    expected = torch.tensor([1.0, math.exp(-math.sqrt(2)), 1.0])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("threshold", "joined"), [(0.25, 0), (0.24, 1)])
def test_an_edge_needs_both(threshold: float, joined: int):
    """exp(-sqrt(2)) = .243117 at the border, 1 elsewhere; colours are the same."""
    found = edges(halves(), torch.zeros(1, SIDE, SIDE, dtype=torch.bool), threshold)

    assert found[0].tolist() == [1, joined, 1]


def test_where_something_was_pasted_colours_decide_alone():
    unseen = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    unseen[0, 0, 2] = True

    found = edges(halves(), unseen, 0.9)

    assert found[0].tolist() == [1, 1, 1]
    assert found[1].tolist() == [1, 0, 1]


def test_no_images_have_no_edges():
    found = semantic_affinity(
        torch.zeros(0, 3, SIDE, SIDE),
        torch.zeros(0, 2, SIDE, SIDE),
        torch.zeros(0, SIDE, SIDE, dtype=torch.bool),
        [],
        1,
        BoxLossConfig(dilation=1),
    )

    assert found.forth[NEXT].shape == (0, SIDE, SIDE - 1)
