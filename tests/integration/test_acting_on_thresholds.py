"""The three ways to act on a threshold, on real tiny runs: apply live, fork, new run."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import torch

from app.launch import config_of_fork, find_fork_point, queue_like, start_run
from engine.checkpoint import (
    checkpoint_step,
    list_checkpoints,
    load_checkpoint,
    save_checkpoint,
)
from engine.train import main
from lab.config import AppliedChange, Change, RunConfig, parse_run_config
from lab.jobs.live import apply_live
from lab.store.asks import AskRow, applied_changes, config_at, record_applied
from lab.store.queries import (
    LabelFilter,
    checkpoints,
    events,
    find_labels,
    get_run,
    scalar_series,
)
from lab.store.runs import create_run
from lab.store.store import Store
from tests.integration.conftest import PL_DC, tiny_config

KEY = "method.mask_threshold"
STEPS = 9


def config(**schedule: int) -> RunConfig:
    kept = {"max_steps": STEPS, "checkpoint_every": 3, "keep_checkpoints": 9}
    return tiny_config(PL_DC | {"class_threshold": 0.0}, **(kept | schedule))


def train(root: Path, run_id: str) -> None:
    assert main(["run", "--store", str(root), "--run-id", run_id]) == 0


def losses(store: Store, run_id: str) -> dict[int, float]:
    """By step."""
    series = scalar_series(store, run_id, ["loss/total"])["loss/total"]
    return dict(zip(series.steps.tolist(), series.values.tolist(), strict=True))


def from_step(first: int, values: dict[int, float]) -> dict[int, float]:
    return {step: value for step, value in values.items() if step >= first}


def forget_checkpoints_after(store: Store, run_id: str, step: int) -> None:
    for path in list_checkpoints(store.run_directory(run_id) / "checkpoints"):
        if checkpoint_step(path) > step:
            path.unlink()


def fates(store: Store, run_id: str, first: int) -> list[tuple[object, ...]]:
    page = find_labels(store, run_id, LabelFilter(first_step=first), limit=10_000)
    return sorted((r.step, r.image_id, r.position, r.kept, r.mask_quality) for r in page.rows)


def last_weights(store: Store, run_id: str) -> dict[str, torch.Tensor]:
    return dict(load_checkpoint(checkpoints(store, run_id)[-1].path).teacher)


def run_with_masks(root: Path, store: Store) -> str:
    """A run that goes on from step 3 with networks whose masks are not empty, and is trained.

    After three steps of burn-in they would be, and no threshold would matter.
    """
    early = create_run(store, config(max_steps=4))
    train(root, early)
    point = find_fork_point(store, f"{early}@3")
    saved = load_checkpoint(point.checkpoint)
    for network in (saved.student, saved.teacher):
        network["head.controller.bias"][-1] = 1.0  # of the mask's own bias
    save_checkpoint(point.checkpoint, saved)
    return forked_at(root, store, f"{early}@3", config())


def forked_at(root: Path, store: Store, run_at_step: str, wanted: RunConfig) -> str:
    run_id = start_run(store, wanted, command=[], fork=find_fork_point(store, run_at_step))
    train(root, run_id)
    return run_id


def test_forks_and_changes_differ_from_their_step_on_and_not_before(root: Path, opened: Store):
    parent = run_with_masks(root, opened)
    point = find_fork_point(opened, f"{parent}@6")
    theirs, labels = losses(opened, parent), fates(opened, parent, 6)
    assert sorted(theirs) == list(range(3, STEPS))
    assert any(kept for *_, kept, _ in labels), "else no threshold matters"

    same = forked_at(root, opened, f"{parent}@6", config_of_fork(opened, point, {}))
    assert losses(opened, same) == from_step(6, theirs), "bit by bit as its parent"
    assert fates(opened, same, 6) == labels
    weights = last_weights(opened, parent)
    assert all(torch.equal(mine, weights[k]) for k, mine in last_weights(opened, same).items())

    changed = config_of_fork(opened, point, {KEY: 0.99})
    other = forked_at(root, opened, f"{parent}@6", changed)
    assert all(mine != theirs[step] for step, mine in losses(opened, other).items())
    # What is stored is what was used, and where it comes from.
    child = get_run(opened, other)
    assert parse_run_config(child.config) == changed
    assert child.config["method"]["mask_threshold"] == 0.99
    assert (child.parent_run_id, child.parent_step) == (parent, 6)
    (forked,) = [event for event in events(opened, other) if event.kind == "forked"]
    assert (forked.step, forked.payload["changes"]) == (6, {KEY: {"old": 0.5, "new": 0.99}})

    # The same change made live, in a resumed run, from before it and from after it.
    record_applied(opened, parent, AppliedChange(6, {KEY: Change(0.5, 0.99)}, "ada"))
    for newest in (3, 6):
        forget_checkpoints_after(opened, parent, newest)
        train(root, parent)
        found = losses(opened, parent)
        assert from_step(6, found) == losses(opened, other)
        assert {step: found[step] for step in (3, 4, 5)} == {n: theirs[n] for n in (3, 4, 5)}
    assert fates(opened, parent, 6) == fates(opened, other, 6)
    assert config_of_fork(opened, find_fork_point(opened, f"{parent}@9"), {}) == changed


def test_a_change_asked_for_while_it_trains_is_made_before_a_step_and_recorded(
    root: Path, opened: Store
):
    run_id = create_run(opened, config(max_steps=100_000, checkpoint_every=100_000))
    answers: list[AskRow] = []

    def ask() -> None:
        try:
            while (get_run(opened, run_id).step or 0) < 2:
                time.sleep(0.05)
            values = {"mask_threshold": 0.99, "unsup_weight": 1.0}
            answers.append(apply_live(opened, run_id, values, author="ada", timeout=200.0))
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # the trainer is this process: it stops

    asker = threading.Thread(target=ask)
    asker.start()
    train(root, run_id)
    asker.join()

    (answer,) = answers
    assert answer.answer == "applied"
    assert answer.step is not None and answer.step > 2
    (change,) = applied_changes(opened, run_id)
    assert change == AppliedChange(answer.step, {KEY: Change(0.5, 0.99)}, "ada", answer.ask)
    used = [config_at(opened, run_id, step) for step in (change.step - 1, change.step)]
    assert [one.model_dump()["method"]["mask_threshold"] for one in used] == [0.5, 0.99]


def test_a_new_run_like_another_takes_the_values_it_has_now(root: Path, opened: Store):
    run_id = create_run(opened, config())
    record_applied(opened, run_id, AppliedChange(4, {KEY: Change(0.5, 0.7)}, "ada"))

    child = queue_like(
        opened, run_id, {"method.class_threshold": 0.1}, command=[], with_worker=False
    )

    method = get_run(opened, child).config["method"]
    assert (method["mask_threshold"], method["class_threshold"]) == (0.7, 0.1)
    (event,) = events(opened, child)
    assert (event.kind, event.payload["like"]) == ("launched", run_id)
    assert event.payload["changes"] == {"method.class_threshold": {"old": 0.0, "new": 0.1}}
