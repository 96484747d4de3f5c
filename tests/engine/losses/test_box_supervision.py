"""BoxInst's losses on the samples of a host."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine.box_host import MaskSamples
from engine.instances import Targets
from engine.interfaces import ViewGeometry
from engine.losses.box_supervision import (
    box_mask_losses,
    grown,
    image_affinity,
    sampled_boxes,
    trusted_cells,
    trusted_rows,
)
from lab.config import BoxLossConfig

WHOLE = ViewGeometry(100, 80, False, 1.0, 1.0, 0.0, 0.0, 100, 80)
CONFIG = BoxLossConfig(warmup_steps=10, dilation=1, bottom_rows=0)


def target(*boxes: tuple[float, float, float, float]) -> Targets:
    return Targets(torch.tensor(boxes).reshape(-1, 4), torch.zeros(len(boxes), dtype=torch.long))


def test_the_bottom_rows_of_an_image_are_not_trusted():
    assert trusted_rows(WHOLE, 0) == 100
    assert trusted_rows(WHOLE, 10) == 90


def test_bottom_rows_shrink_with_the_image():
    half = replace(WHOLE, scale_y=0.5, scale_x=0.5, height=50, width=40)

    assert trusted_rows(half, 10) == 45


def test_a_crop_that_ends_above_the_bottom_loses_nothing():
    assert trusted_rows(replace(WHOLE, offset_y=10, height=60), 10) == 60
    assert trusted_rows(replace(WHOLE, offset_y=40, height=60), 10) == 50
    assert trusted_rows(replace(WHOLE, offset_y=95, height=5), 10) == 0


def test_padding_is_no_cell():
    cells = trusted_cells([WHOLE], (32, 24), 4, 10, torch.device("cpu"))

    assert cells[0].any(dim=1).sum() == 22  # samples 2, 6, ..., 86 are above row 90; 90 is not
    assert cells[0].any(dim=0).sum() == 20


def test_each_sample_has_the_box_of_its_own_target():
    targets = [target((0, 0, 8, 8)), target((8, 8, 16, 16), (0, 8, 8, 16))]
    samples = MaskSamples(torch.zeros(2, 4, 4), torch.tensor([1, 0]), torch.tensor([2, 0]))

    inside = sampled_boxes(samples, targets, 4)

    assert inside[0].nonzero().tolist() == [[2, 0], [2, 1], [3, 0], [3, 1]]
    assert inside[1].nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_the_pairwise_weight_grows_and_the_projection_does_not():
    image = torch.full((1, 3, 16, 16), 0.5)
    samples = MaskSamples(torch.zeros(1, 4, 4), torch.tensor([0]), torch.tensor([0]))
    view = replace(WHOLE, height=16, width=16, image_height=16, image_width=16)
    inside = sampled_boxes(samples, [target((0, 0, 8, 8))], 4)
    colours = image_affinity(image, [view], 4, CONFIG)

    first, half, full, later = (
        box_mask_losses(samples, inside, colours, CONFIG, step) for step in (0, 5, 10, 99)
    )

    assert first["pairwise"].item() == 0
    assert half["pairwise"].item() == pytest.approx(full["pairwise"].item() / 2)
    # Every edge of a mask of probability 1/2 costs log 2.
    assert full["pairwise"].item() == pytest.approx(0.693147, abs=1e-6)
    assert later["pairwise"] == full["pairwise"]
    assert first["projection"] == later["projection"] > 0


def test_a_mean_over_the_samples_of_all_layers_becomes_a_sum_over_layers():
    """Two layers of two objects: layer by layer, and then all of them at once."""
    torch.manual_seed(0)
    logits, owners = torch.randn(2, 2, 4, 4), torch.tensor([0, 1])
    view = replace(WHOLE, height=16, width=16, image_height=16, image_width=16)
    colours = image_affinity(torch.rand(1, 3, 16, 16) / 20, [view], 4, CONFIG)
    two = [target((0, 0, 8, 8), (4, 0, 16, 12))]

    def losses(logits: torch.Tensor, layers: int) -> dict[str, torch.Tensor]:
        rows = owners.repeat(layers)
        samples = MaskSamples(logits, torch.zeros_like(rows), rows)
        inside = sampled_boxes(samples, two, 4)
        return box_mask_losses(samples, inside, colours, CONFIG, 99, layers)

    apart, together = [losses(layer, 1) for layer in logits], losses(logits.flatten(0, 1), 2)

    for name, loss in together.items():
        assert loss.item() == pytest.approx(sum(one[name].item() for one in apart), rel=1e-5)
        assert loss.item() > 0


def test_without_warm_up_everything_counts_at_once():
    assert grown(0, 0) == 1.0
    assert [grown(step, 4) for step in (0, 1, 4, 9)] == [0.0, 0.25, 1.0, 1.0]
