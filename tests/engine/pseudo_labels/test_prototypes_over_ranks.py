"""Prototypes of two processes that train together: they agree after every batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.multiprocessing.spawn import spawn
from torch.nn import functional

from engine.pseudo_labels.prototypes import ClassPixels, Pace, Prototypes

PACE = Pace(smoothness=0.05, steps=3, momentum=0.5, first_replaces=False, drawn=False)
SEEN = ([0], [0, 1, 1])
"""Classes that each rank's image shows; nobody shows the third."""


def started() -> Prototypes:
    torch.manual_seed(0)
    prototypes = Prototypes()
    prototypes.start(3, 2, 4, torch.device("cpu"))
    return prototypes


def image(rank: int) -> ClassPixels:
    torch.manual_seed(10 + rank)
    features = functional.normalize(torch.randn(4, 5, 5), dim=0)
    masks = torch.zeros(len(SEEN[rank]), 5, 5, dtype=torch.bool)
    for row in range(len(masks)):
        masks[row, row] = True
    return ClassPixels(features, masks, torch.tensor(SEEN[rank]))


def learn_together(rank: int, folder: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    prototypes = started()
    prototypes.learn([image(rank)], PACE)
    np.save(f"{folder}/directions{rank}.npy", prototypes.directions.numpy())
    np.save(f"{folder}/moves{rank}.npy", prototypes.moves.numpy())
    torch.distributed.destroy_process_group()


def test_ranks_take_the_mean_of_those_that_saw_a_class_and_count_all_moves(tmp_path: Path):
    alone = [started(), started()]
    for rank, prototypes in enumerate(alone):
        prototypes.learn([image(rank)], PACE)

    spawn(learn_together, (str(tmp_path),), nprocs=2)

    directions = [torch.from_numpy(np.load(tmp_path / f"directions{r}.npy")) for r in (0, 1)]
    moves = [np.load(tmp_path / f"moves{r}.npy").tolist() for r in (0, 1)]
    assert torch.equal(directions[0], directions[1])
    assert moves[0] == moves[1] == (alone[0].moves + alone[1].moves).tolist()
    assert moves[0] == [[2, 2], [1, 1], [0, 0]]
    mean = functional.normalize(alone[0].directions[0] + alone[1].directions[0], dim=1)
    torch.testing.assert_close(directions[0][0], mean)
    torch.testing.assert_close(directions[0][1], alone[1].directions[1])
    assert torch.equal(directions[0][2], started().directions[2])
