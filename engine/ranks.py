"""Processes that train one network together; each is a rank, and takes its share of every batch.

All ranks hold the same weights and take the same steps; rank 0 alone tells the store. What they
agree on, they agree on here, and every rank has to ask the same questions in the same order. Alone,
each function gives back what it was given, so that nobody else needs to know how many there are.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple, TypeVar, overload

import torch
from torch import Tensor, distributed, nn

T = TypeVar("T")

PATIENCE = timedelta(days=7)
"""How long ranks wait for each other: one may train a CLIP, or work out the AP of 5,000 images. A
rank that is gone is noticed at once all the same."""


class RankLost(RuntimeError):
    """Another process of the run has ended, so that nothing can be agreed on any more."""


class FirstFailed(RuntimeError):
    """Rank 0 could not do what the others wait for; it says why."""


@dataclass(frozen=True)
class Share:
    """Every `of`-th thing from the `rank`-th on: the part of a batch that one rank takes.

    So two views of a batch, one after the other, are shared as the batch is.
    """

    rank: int = 0
    of: int = 1

    def part(self, things: Sequence[T]) -> list[T]:
        return list(things[self.rank :: self.of])


WHOLE = Share()
"""What a process takes that trains alone."""


class Rows(NamedTuple):
    """Where the rows of this rank are among those of all: who draws for all draws the same."""

    total: int
    own: Tensor
    """(N,) int64."""


def local_rank() -> int | None:
    """Which process of this machine torchrun says we are; None = nobody says."""
    text = os.environ.get("LOCAL_RANK")
    return None if text is None else int(text)


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Be one of the ranks that torchrun has started; without torchrun, be alone.

    Numbers on the host travel by gloo, tensors on a GPU by NCCL.
    """
    if local_rank() is None:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if sys.platform == "linux":  # all ranks are on this machine: nobody else needs to hear them
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def share() -> Share:
    """Which part is ours; all of it when we are alone."""
    if not distributed.is_initialized():
        return WHOLE
    return Share(distributed.get_rank(), distributed.get_world_size())


def is_first() -> bool:
    """Whether this rank tells the store, the log and the terminal."""
    return share().rank == 0


def is_alone() -> bool:
    return share().of == 1


@overload
def normaliser(total: Tensor, least: float = 1) -> Tensor: ...
@overload
def normaliser(total: float, least: float = 1) -> float: ...
@torch.no_grad()
def normaliser(total: Tensor | float, least: float = 1) -> Tensor | float:
    """What a sum over our share of a batch is divided by, to be a mean over all of the batch.

    The losses of all ranks are averaged. So that is the sum of the totals over the number of ranks.

    Args:
        total: how many things our sum is over, or their total weight; of any shape.
        least: 0 things would be so many; of all ranks together.
    """
    if is_alone():
        return total.clamp(min=least) if isinstance(total, Tensor) else max(least, total)
    summed = sum_of_all(total.clone() if isinstance(total, Tensor) else torch.tensor(total))
    mean = summed.clamp(min=least) / share().of
    return mean if isinstance(total, Tensor) else mean.item()


def anywhere(flag: bool) -> bool:
    """Whether it is so on any rank."""
    if is_alone():
        return flag
    return bool(_most_of_all(torch.tensor(int(flag))))


def from_first(thing: T) -> T:
    """What rank 0 gave; what the others give does not matter."""
    if is_alone():
        return thing
    sent = [thing]
    with _talking():
        distributed.broadcast_object_list(sent, src=0)
    return sent[0]


def to_first(thing: T) -> list[T]:
    """What every rank gave, by rank; empty on all ranks but the first."""
    if is_alone():
        return [thing]
    found: list[T | None] = [None] * share().of
    with _talking():
        distributed.gather_object(thing, found if is_first() else None)
    return [one for one in found if one is not None] if is_first() else []


def averaged(values: Mapping[str, float]) -> dict[str, float]:
    """The mean of each number over the ranks that have it; the same on all ranks."""
    if is_alone():
        return dict(values)
    found: list[Mapping[str, float]] = [{}] * share().of
    with _talking():
        distributed.all_gather_object(found, values)
    names = dict.fromkeys(name for one in found for name in one)
    said = {name: [one[name] for one in found if name in one] for name in names}
    return {name: sum(numbers) / len(numbers) for name, numbers in said.items()}


@contextmanager
def first_goes_first() -> Iterator[None]:
    """Rank 0 does the block before the others: it makes files that they then find.

    Raises:
        FirstFailed: on the others, when rank 0 could not do it.
    """
    if not is_first():
        if not from_first(False):
            raise FirstFailed("rank 0 has failed")
        yield
        return
    done = False
    try:
        yield
        done = True
    finally:
        from_first(done)


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give every parameter the mean of its gradients over the ranks, in place.

    One without a gradient on some ranks has 0 there; one without on all of them stays without.
    """
    if is_alone():
        return
    trained = [one for one in parameters if one.requires_grad]
    touched = torch.tensor([one.grad is not None for one in trained], dtype=torch.uint8)
    gradients: dict[torch.dtype, list[Tensor]] = {}
    for parameter, is_touched in zip(trained, _most_of_all(touched).tolist(), strict=True):
        if is_touched:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradients.setdefault(parameter.grad.dtype, []).append(parameter.grad)
    for of_one_type in gradients.values():
        _average(of_one_type)


def rows_of(counts: Sequence[int]) -> Rows | None:
    """Where what our images hold is, if that of all images of the batch stands in its order.

    None = alone, all rows are ours.

    Args:
        counts: how much each of our images holds; as many images on every rank.
    """
    mine = share()
    if mine.of == 1:
        return None
    of_batch = of_all(torch.tensor(list(counts), dtype=torch.int64)).T.flatten()
    image = torch.arange(len(of_batch)).repeat_interleave(of_batch)
    return Rows(len(image), (image % mine.of == mine.rank).nonzero()[:, 0])


def image_rows(count: int) -> Rows | None:
    """As `rows_of`, for `count` images on every rank that hold one thing each."""
    mine = share()
    if mine.of == 1:
        return None
    return Rows(count * mine.of, torch.arange(mine.rank, count * mine.of, mine.of))


def sum_of_all(tensor: Tensor) -> Tensor:
    """The sum over the ranks, in place."""
    with _talking():
        distributed.all_reduce(tensor)
    return tensor


def of_all(tensor: Tensor) -> Tensor:
    """What every rank gave, by rank. (...) -> (R, ...)"""
    found = [torch.empty_like(tensor) for _ in range(share().of)]
    with _talking():
        distributed.all_gather(found, tensor)
    return torch.stack(found)


def _most_of_all(tensor: Tensor) -> Tensor:
    with _talking():
        distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
    return tensor


@contextmanager
def _talking() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = next(iter(str(error).splitlines()), "RuntimeError")
        raise RankLost(f"another process of this run has ended ({reason})") from error


def _average(gradients: list[Tensor]) -> None:
    """As one long vector: one message, not one per layer."""
    sizes = [one.numel() for one in gradients]
    flat = sum_of_all(torch.cat([one.flatten() for one in gradients])).div_(share().of)
    for gradient, part in zip(gradients, flat.split(sizes), strict=True):
        gradient.copy_(part.view_as(gradient))
