"""The strong view changes colours and hides patches, image by image, and leaves padding alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as tv

from engine.data.photometric import (
    ERASING_PASSES,
    Colour,
    Erasing,
    Patch,
    Perturbation,
    blur,
    draw_patch,
    draw_perturbation,
    perturb,
    shift_hue,
    strong_view,
)
from engine.interfaces import ViewGeometry
from lab.config import StrongViewConfig

NOTHING = StrongViewConfig(
    jitter_probability=0, grayscale_probability=0, blur_probability=0, erasing=False
)


def whole_view(height: int, width: int) -> ViewGeometry:
    return ViewGeometry(height, width, False, 1.0, 1.0, 0, 0, height, width)


def noise() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def draws(images: int, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, image]) for image in range(images)]


def random_image(height: int = 20, width: int = 30) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("amount", [-0.5, -0.1, 0.0, 0.07, 0.5])
def test_shifting_the_hue_agrees_with_torchvision(amount):
    image = random_image()
    image[:, 0, :5] = 0.3  # grey has no hue
    image[:, 1, :5] = 0
    image[:2, 2, :5] = 0.9  # two channels equally bright

    torch.testing.assert_close(
        shift_hue(image, amount), tv.adjust_hue(image, amount), atol=1e-5, rtol=0
    )


def test_a_third_of_the_circle_turns_red_into_green():
    red = torch.tensor([1.0, 0.2, 0.2]).view(3, 1, 1)

    torch.testing.assert_close(shift_hue(red, 1 / 3).flatten(), torch.tensor([0.2, 1.0, 0.2]))


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_blur_agrees_with_torchvision(sigma):
    image = random_image()
    size = 2 * int(np.ceil(3 * sigma)) + 1

    expected = tv.gaussian_blur(image, [size, size], [sigma, sigma])

    torch.testing.assert_close(blur(image, sigma), expected, atol=1e-6, rtol=0)


def test_a_blur_nobody_can_see_is_none():
    step = torch.zeros(3, 8, 8)
    step[:, :, 4:] = 1

    assert blur(step, 0.27) is step
    assert (blur(step, 0.29) - step).abs().max() < 2 / 255


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (3, 2)])
def test_an_image_smaller_than_the_kernel_can_be_blurred(height, width):
    flat = torch.full((3, height, width), 0.4)

    torch.testing.assert_close(blur(flat, 3.0), flat)


def test_the_drawn_order_is_the_order_of_the_changes():
    image = random_image()
    expected = tv.adjust_brightness(tv.adjust_saturation(tv.adjust_contrast(image, 1.4), 0.6), 1.3)
    expected = tv.rgb_to_grayscale(expected, num_output_channels=3)

    jitter = ((Colour.CONTRAST, 1.4), (Colour.SATURATION, 0.6), (Colour.BRIGHTNESS, 1.3))
    perturb(image, Perturbation(jitter, grayscale=True), noise())

    torch.testing.assert_close(image, expected)


def test_only_the_patch_is_erased_and_its_noise_comes_from_the_generator():
    image = torch.zeros(3, 8, 10)
    again = image.clone()
    drawn = Perturbation(erased=(Patch(2, 3, 4, 5),))

    perturb(image, drawn, noise())
    perturb(again, drawn, noise())

    inside = torch.zeros(3, 8, 10, dtype=torch.bool)
    inside[:, 2:6, 3:8] = True
    assert torch.equal(image > 0, inside)
    assert image.max() < 1
    assert torch.equal(image, again)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 10_000))
@settings(deadline=None)
def test_a_patch_lies_inside_the_view_and_is_smaller(height, width, seed):
    for erasing in ERASING_PASSES:
        certain = replace(erasing, probability=1.0)
        patch = draw_patch(height, width, certain, np.random.default_rng(seed))
        if patch is not None:
            assert 0 <= patch.top <= patch.top + patch.height <= height
            assert 0 <= patch.left <= patch.left + patch.width <= width
            assert patch.height < height and patch.width < width


def test_patches_have_the_area_and_the_ratio_that_were_asked_for():
    rng = np.random.default_rng(0)
    erasing = Erasing(1.0, (0.05, 0.2), (0.3, 3.3))

    patches = [draw_patch(200, 200, erasing, rng) for _ in range(300)]

    shares = [patch.height * patch.width / 200**2 for patch in patches if patch]
    ratios = [patch.height / patch.width for patch in patches if patch]
    assert len(shares) == 300
    assert 0.045 < min(shares) < 0.06 and 0.19 < max(shares) < 0.21
    assert 0.28 < min(ratios) < 0.4 and 2.8 < max(ratios) < 3.4
    # Log-uniform: as many tall as wide ones, up to chance (300 draws, 5 standard deviations).
    assert 107 < sum(ratio > 1 for ratio in ratios) < 200


def test_each_part_happens_as_often_as_asked():
    rng = np.random.default_rng(0)
    drawn = [draw_perturbation(64, 64, StrongViewConfig(), 1.0, rng) for _ in range(2000)]

    # Five standard deviations of 2,000 draws are at most 0.056.
    assert np.mean([bool(one.jitter) for one in drawn]) == pytest.approx(0.8, abs=0.05)
    assert np.mean([one.grayscale for one in drawn]) == pytest.approx(0.2, abs=0.05)
    assert np.mean([one.blur_sigma > 0 for one in drawn]) == pytest.approx(0.5, abs=0.06)
    assert np.mean([len(one.erased) for one in drawn]) == pytest.approx(1.5, abs=0.15)
    factors = dict(pair for one in drawn for pair in one.jitter)
    assert set(factors) == set(Colour)
    assert {one.jitter[0][0] for one in drawn if one.jitter} == set(Colour)


def test_drawn_amounts_stay_in_their_ranges():
    rng = np.random.default_rng(0)
    pairs = [
        pair
        for _ in range(500)
        for pair in draw_perturbation(64, 64, StrongViewConfig(), 1.0, rng).jitter
    ]

    hues = [amount for colour, amount in pairs if colour is Colour.HUE]
    factors = [amount for colour, amount in pairs if colour is not Colour.HUE]
    assert -0.1 <= min(hues) < -0.09 and 0.09 < max(hues) <= 0.1
    assert 0.6 <= min(factors) < 0.61 and 1.39 < max(factors) <= 1.4


def test_the_blur_shrinks_with_the_crop():
    config = StrongViewConfig(blur_probability=1, blur_sigma=(2.0, 2.0), reference_size=1024)

    drawn = draw_perturbation(512, 512, config, 512 / 1024, np.random.default_rng(0))

    assert drawn.blur_sigma == 1.0


@given(st.integers(0, 1000), st.integers(1, 32), st.integers(1, 32))
@settings(deadline=None, max_examples=40)
def test_padding_stays_black_and_values_stay_in_range(seed, height, width):
    weak = torch.zeros(2, 3, 32, 32)
    weak[0] = random_image(32, 32)
    weak[1, :, :height, :width] = random_image(height, width)
    config = StrongViewConfig(jitter_probability=1, blur_probability=1, reference_size=32)
    geometry = [whole_view(32, 32), whole_view(height, width)]

    strong = strong_view(weak, geometry, config, draws(2, seed))

    assert strong.min() >= 0 and strong.max() <= 1
    assert strong[1, :, height:].abs().sum() == 0 and strong[1, :, :, width:].abs().sum() == 0


def test_the_same_draw_gives_the_same_view_and_leaves_the_weak_one_alone():
    weak = torch.stack([random_image(32, 32), random_image(32, 32)])
    before = weak.clone()
    config = StrongViewConfig(jitter_probability=1)
    geometry = [whole_view(32, 32)] * 2

    first = strong_view(weak, geometry, config, draws(2, 3))
    second = strong_view(weak, geometry, config, draws(2, 3))

    assert torch.equal(first, second)
    assert torch.equal(weak, before)
    assert not torch.equal(first[0], first[1]), "each image has its own draw"


def test_what_happens_to_an_image_depends_on_its_own_draws_alone():
    """So a process that has only some images of a batch perturbs them as one that has all."""
    weak = torch.stack([random_image(32, 32)] * 2)
    config = StrongViewConfig(jitter_probability=1, erasing=True)

    both = strong_view(weak, [whole_view(32, 32)] * 2, config, draws(2))
    second = strong_view(weak[1:], [whole_view(32, 32)], config, draws(2)[1:])

    assert torch.equal(both[1:], second)


def test_a_strong_view_with_everything_off_is_the_weak_view():
    weak = random_image(32, 32)[None]

    strong = strong_view(weak, [whole_view(32, 32)], NOTHING, draws(1))

    assert torch.equal(strong, weak)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_cuda_batch_gets_the_same_colours_as_a_cpu_batch():
    weak = torch.stack([random_image(64, 64)] * 4)
    config = StrongViewConfig(jitter_probability=1, blur_probability=1, erasing=False)
    geometry = [whole_view(64, 64)] * 4

    here = strong_view(weak, geometry, config, draws(4))
    there = strong_view(weak.cuda(), geometry, config, draws(4))

    torch.testing.assert_close(there.cpu(), here, atol=1e-4, rtol=0)
