"""A convolution asked at a few places says there what it says on the whole map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.models.placed_convolution import PlacedConvolution


def maps(*sizes: tuple[int, int], images: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(images, 3, *size, generator=generator) for size in sizes]


def everywhere(conv: nn.Conv2d, levels: list[Tensor]) -> Tensor:
    """(B, L, P) the ordinary way."""
    return torch.cat([conv(level).flatten(2).transpose(1, 2) for level in levels], dim=1)


def test_every_location_of_every_level_borders_included():
    conv, levels = nn.Conv2d(3, 5, 3, padding=1), maps((3, 4), (2, 2), (1, 1))
    images = torch.arange(2).repeat_interleave(17)
    places = torch.arange(17).repeat(2)

    found = PlacedConvolution.over(conv, levels).at(images, places)

    torch.testing.assert_close(found, everywhere(conv, levels).flatten(0, 1))


def test_gradients_are_those_of_the_whole_map():
    conv, (level,) = nn.Conv2d(3, 5, 3, padding=1), maps((4, 4))
    images, places = torch.tensor([0, 1, 1]), torch.tensor([5, 0, 0])  # one is asked twice
    inputs = [level.requires_grad_(), conv.weight, conv.get_parameter("bias")]

    asked = PlacedConvolution.over(conv, [level]).at(images, places).square().sum()
    whole = everywhere(conv, [level])[images, places].square().sum()

    for mine, theirs in zip(
        torch.autograd.grad(asked, inputs), torch.autograd.grad(whole, inputs), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_a_map_in_channels_last_says_the_same():
    conv, (level,) = nn.Conv2d(3, 5, 3, padding=1), maps((4, 6))
    asked = (torch.tensor([1, 0]), torch.tensor([23, 7]))
    plain = PlacedConvolution.over(conv, [level]).at(*asked)
    conv.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    there = level.contiguous(memory_format=torch.channels_last)

    torch.testing.assert_close(PlacedConvolution.over(conv, [there]).at(*asked), plain)


def test_asked_nowhere_it_says_nothing_and_its_weights_have_a_gradient_of_zero():
    conv, none = nn.Conv2d(3, 5, 3, padding=1), torch.zeros(0, dtype=torch.int64)

    found = PlacedConvolution.over(conv, maps((2, 2))).at(none, none)
    found.sum().backward()

    assert found.shape == (0, 5)
    assert conv.weight.grad is not None
    assert conv.weight.grad.eq(0).all()
