"""What two processes agree on: real ones, with a worked example for everything they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from engine import ranks
from engine.checkpoint import joint_memory, on_host, own_memory
from engine.launcher import ending_of
from engine.losses.points import uncertain_points, uniform_points
from engine.models.shared_norm import share_batch_norm
from tests.two_ranks import on_two_ranks

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two ranks found out; they are started once, for all tests."""
    return on_two_ranks(tmp_path_factory.mktemp("ranks"), ask_everything)


def ask_everything() -> dict[str, Any]:
    rank = ranks.share().rank
    return {
        "share": (rank, ranks.share().of, ranks.is_first(), ranks.is_alone()),
        "counts": [ranks.normaliser(3 - 2 * rank), ranks.normaliser(0)],
        "weights": ranks.normaliser(torch.tensor([0.5, 0.0]), 1e-6).tolist(),
        "anywhere": [ranks.anywhere(rank == 1), ranks.anywhere(False)],
        "from first": ranks.from_first(f"rank {rank}"),
        "to first": ranks.to_first(f"rank {rank}"),
        "averaged": ranks.averaged({"loss": float(rank), **({"kept": 4.0} if rank else {})}),
        "gradients": average_of_three(rank),
        "rows": rows_of_images(rank),
        "points": points_of_images(),
        "next draw": draw_after_no_mask(rank),
        "norm": normalised(rank),
        "order": order_of_work(rank),
    }


def average_of_three(rank: int) -> list[Any]:
    """d/dw of w * (1 + 2 rank); of one that rank 1 alone uses; of one that nobody uses."""
    used, of_second, unused = (nn.Parameter(torch.ones(2)) for _ in range(3))
    loss = (1 + 2 * rank) * used.sum() + (6 * of_second.sum() if rank else 0)
    loss.backward()
    ranks.average_gradients([used, of_second, unused])
    return [None if one.grad is None else one.grad.tolist() for one in (used, of_second, unused)]


def rows_of_images(rank: int) -> tuple[int, list[int]]:
    rows = ranks.rows_of([2, 0] if rank else [1, 2])
    assert rows is not None
    return rows.total, rows.own.tolist()


def points_of_images() -> np.ndarray:
    torch.manual_seed(3)
    return uniform_points(2, 5, CPU, ranks.image_rows(2)).numpy()


def draw_after_no_mask(rank: int) -> float:
    """Rank 1 has no mask and rank 0 has two; what is drawn next is for both."""
    torch.manual_seed(3)
    count = 0 if rank else 2
    uncertain_points(torch.ones(count, 4, 4), 8, rows=ranks.rows_of([count]))
    return torch.rand(()).item()


def normalised(rank: int) -> dict[str, np.ndarray]:
    images, weights = norm_example()
    part = images[rank::2].clone().requires_grad_()
    module = nn.Sequential(nn.BatchNorm2d(3))
    share_batch_norm(module)
    return pass_through(module, part, weights[rank::2])


def norm_example() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    return torch.randn(4, 3, 5, 5, generator=draw) + 10, torch.randn(4, 3, 5, 5, generator=draw)


def pass_through(
    module: nn.Sequential, images: torch.Tensor, weights: torch.Tensor
) -> dict[str, np.ndarray]:
    """Output, running statistics and the gradient of the weighted sum of the output."""
    images.requires_grad_()
    out = module(images)
    (out * weights).sum().backward()
    assert images.grad is not None
    state = {name: value.numpy() for name, value in module.state_dict().items()}
    return {"out": out.detach().numpy(), "gradient": images.grad.numpy(), **state}


def order_of_work(rank: int) -> str:
    """Rank 0 cannot do what the other waits for: it says so, and the other does not try."""
    try:
        with ranks.first_goes_first():
            assert rank == 0
            raise OSError("disk full")
    except (OSError, ranks.FirstFailed) as error:
        return type(error).__name__


def test_each_rank_takes_every_second_image(said):
    assert [one["share"] for one in said] == [(0, 2, True, False), (1, 2, False, False)]
    assert ranks.Share(1, 2).part("abcde") == ["b", "d"]
    assert ranks.share() == ranks.WHOLE and ranks.is_alone() and ranks.is_first()


def test_a_sum_is_divided_by_the_mean_of_what_all_ranks_count(said):
    """3 and 1 positives are 2 per rank; none at all are 1 altogether, so 1/2 per rank."""
    assert [one["counts"] for one in said] == [[2.0, 0.5]] * 2
    assert said[0]["weights"] == pytest.approx([0.5, 0.5e-6])
    assert ranks.normaliser(0) == 1 and ranks.normaliser(torch.tensor(3)) == 3


def test_what_is_so_on_one_rank_is_so_for_all(said):
    assert [one["anywhere"] for one in said] == [[True, False]] * 2


def test_rank_0_is_heard_by_all_and_hears_all(said):
    assert [one["from first"] for one in said] == ["rank 0", "rank 0"]
    assert [one["to first"] for one in said] == [["rank 0", "rank 1"], []]


def test_numbers_are_averaged_over_the_ranks_that_have_them(said):
    assert [one["averaged"] for one in said] == [{"loss": 0.5, "kept": 4.0}] * 2


def test_gradients_are_averaged_and_what_nobody_used_stays_without(said):
    assert [one["gradients"] for one in said] == [[[2.0, 2.0], [3.0, 3.0], None]] * 2


def test_rows_are_counted_in_the_order_of_the_whole_batch(said):
    """Images of ranks 0, 1, 0, 1 hold 1, 2, 2 and 0 objects: 0 | 1 2 | 3 4 |."""
    assert [one["rows"] for one in said] == [(5, [0, 3, 4]), (5, [1, 2])]
    assert ranks.rows_of([1, 2]) is None


def test_points_of_an_image_are_those_that_one_process_would_draw(said):
    torch.manual_seed(3)
    alone = uniform_points(4, 5, CPU).numpy()

    for rank in (0, 1):
        np.testing.assert_array_equal(said[rank]["points"], alone[rank::2])


def test_a_rank_without_masks_draws_as_much_as_the_others(said):
    assert said[0]["next draw"] == said[1]["next draw"]


def test_batch_norm_of_two_ranks_is_that_of_the_whole_batch(said):
    images, weights = norm_example()
    alone = pass_through(nn.Sequential(nn.BatchNorm2d(3)), images.clone(), weights)

    for rank in (0, 1):
        found = said[rank]["norm"]
        for name in ("out", "gradient"):
            np.testing.assert_allclose(found[name], alone[name][rank::2], atol=2e-5)
        for name in ("0.running_mean", "0.running_var", "0.num_batches_tracked"):
            np.testing.assert_allclose(found[name], alone[name], rtol=1e-5)


def test_the_others_do_not_begin_what_rank_0_could_not_do(said):
    assert [one["order"] for one in said] == ["OSError", "FirstFailed"]


def test_memories_of_ranks_are_kept_apart_and_shared_by_a_fork_with_more_of_them():
    memory = joint_memory([{"bank": 1}, {"bank": 2}])

    assert [own_memory(memory, rank)["bank"] for rank in (0, 1, 2)] == [1, 2, 1]
    assert own_memory(joint_memory([{"bank": 1}]), 5) == {"bank": 1}
    assert joint_memory([{}, {}]) == {}
    assert on_host({"a": [torch.ones(1)], "b": "text"})["b"] == "text"


class Failure:
    """As torchrun tells how a process ended."""

    def __init__(self, exitcode: int, message: str = "") -> None:
        self.exitcode, self.message = exitcode, message


def test_the_end_of_a_run_names_the_process_that_failed():
    killed, broken = Failure(-9), Failure(1, "OSError: disk full\nmore")

    assert ending_of({1: killed}, 2).reason == "process 2 of 2 was ended by SIGKILL"
    assert ending_of({0: Failure(1), 1: broken}, 2).reason == "process 2 of 2: OSError: disk full"
    assert ending_of({0: Failure(2)}, 2).reason is None, "rank 0 has said it itself"
    assert ending_of({0: Failure(2)}, 2).code == 2
