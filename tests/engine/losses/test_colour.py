"""CIELAB against published values and against the conversion done by hand."""

import pytest
import torch

from engine.losses.colour import rgb_to_lab


def lab_of(red: int, green: int, blue: int) -> list[float]:
    pixel = torch.tensor([red, green, blue], dtype=torch.float32).reshape(3, 1, 1) / 255
    return rgb_to_lab(pixel)[:, 0, 0].tolist()


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((255, 255, 255), (100.0, -0.00245, 0.00465)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
        ((255, 0, 0), (53.2406, 80.0942, 67.2015)),
        ((0, 255, 0), (87.7351, -86.1829, 83.1797)),
        ((0, 0, 255), (32.2957, 79.1856, -107.8573)),
        ((200, 30, 30), (43.220225, 63.040245, 45.220316)),
    ],
)
def test_known_colours_have_their_lab_values(rgb, lab):
    assert lab_of(*rgb) == pytest.approx(lab, abs=2e-2)


def test_the_worked_example_is_exact():
    assert lab_of(200, 30, 30) == pytest.approx((43.220225, 63.040245, 45.220316), abs=5e-5)


@pytest.mark.parametrize(
    ("rgb", "distance", "similarity"),
    [((198, 32, 31), 1.334155, 0.513206), ((190, 40, 40), 8.745378, 0.012617)],
)
def test_the_distance_of_two_reds_is_the_worked_one(rgb, distance, similarity):
    """E2, measured from (200, 30, 30)."""
    between = (torch.tensor(lab_of(200, 30, 30)) - torch.tensor(lab_of(*rgb))).norm()

    assert between.item() == pytest.approx(distance, abs=1e-4)
    assert torch.exp(-0.5 * between).item() == pytest.approx(similarity, abs=1e-5)


def test_grey_has_no_hue_and_grows_lighter():
    greys = [lab_of(level, level, level) for level in (10, 60, 128, 250)]

    assert all(abs(a) < 0.01 and abs(b) < 0.01 for _, a, b in greys)
    assert greys == sorted(greys)


def test_a_batch_keeps_its_shape_and_half_precision_is_not_used():
    lab = rgb_to_lab(torch.rand(2, 3, 4, 5, dtype=torch.float16))

    assert lab.shape == (2, 3, 4, 5)
    assert lab.dtype == torch.float32
    assert rgb_to_lab(torch.zeros(0, 3, 4, 5)).shape == (0, 3, 4, 5)
