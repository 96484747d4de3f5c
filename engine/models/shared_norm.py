"""Batch norm over the images of all ranks, on any device.

With two images per process, statistics of one process alone are poor, and differ between the
processes. Torch has such a layer for GPUs only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import Function

from engine import ranks


class SharedBatchNorm2d(nn.BatchNorm2d):
    """nn.BatchNorm2d, and the same numbers as that has for the images of all ranks together."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or ranks.is_alone():
            return super().forward(input)
        mean, variance, count = moments_of_all(input.float())
        self._remember(mean.detach(), variance.detach(), count)
        scale = (variance + self.eps).rsqrt() * self.weight
        shift = self.bias - mean * scale
        out = input.float() * scale[:, None, None] + shift[:, None, None]
        return out.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Move the running statistics; of the variance, the unbiased estimate."""
        if self.running_mean is None or self.running_var is None or self.momentum is None:
            return
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked += 1


def share_batch_norm(module: nn.Module) -> None:
    """Exchange every nn.BatchNorm2d inside a module, in place; parameters and names stay."""
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d:
            setattr(module, name, _shared(child))
        else:
            share_batch_norm(child)


def moments_of_all(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of each channel over all ranks, and over how many values. With gradient.

    (B, C, H, W) -> (C,), (C,), (). Each rank's moments are put together, not its sums of squares,
    which would lose what matters of a small variance.
    """
    variance, mean = torch.var_mean(images, dim=(0, 2, 3), correction=0)
    count = images.new_tensor([images.numel() / images.shape[1]])
    found = _of_all_ranks(torch.cat([mean, variance, count]))
    means, variances, counts = found.split([len(mean), len(mean), 1], dim=1)
    shares = counts / counts.sum()
    mean = (shares * means).sum(dim=0)
    spread = (shares * (variances + (means - mean).square())).sum(dim=0)
    return mean, spread, counts.detach().sum()


class _OfAllRanks(Function):
    """(K,) -> (R, K), what every rank gave. A gradient goes back to the rank that gave it."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:  # noqa: ARG004
        return ranks.of_all(own.contiguous())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        return ranks.sum_of_all(gradients[0].clone())[ranks.share().rank]


def _of_all_ranks(own: Tensor) -> Tensor:
    return _OfAllRanks.apply(own)


def _shared(norm: nn.BatchNorm2d) -> SharedBatchNorm2d:
    shared = SharedBatchNorm2d(norm.num_features, norm.eps, norm.momentum)
    shared.load_state_dict(norm.state_dict())
    shared.weight, shared.bias = norm.weight, norm.bias
    return shared.train(norm.training)
