"""Checkpoints survive crashes and refuse what they cannot use."""

import pickle

import pytest
import torch

from engine.checkpoint import (
    Checkpoint,
    CheckpointError,
    checkpoint_path,
    list_checkpoints,
    load_checkpoint,
    load_weights,
    newest_usable,
    save_checkpoint,
)


def checkpoint(step: int = 3) -> Checkpoint:
    weights = {"w": torch.arange(4.0), "n": torch.tensor(7)}
    return Checkpoint(step, weights, weights, {"state": {}}, {}, torch.get_rng_state())


def test_what_is_saved_comes_back(tmp_path):
    path = checkpoint_path(tmp_path / "new", 3)

    save_checkpoint(path, checkpoint())
    loaded = load_checkpoint(path)

    assert loaded.step == 3
    assert loaded.student["w"].tolist() == [0, 1, 2, 3]
    assert loaded.teacher["n"].item() == 7
    assert list(tmp_path.rglob("*.tmp")) == []


def test_checkpoints_are_listed_by_step_not_by_name(tmp_path):
    for step in (9, 10, 100):
        save_checkpoint(checkpoint_path(tmp_path, step), checkpoint(step))

    found = list_checkpoints(tmp_path)

    assert [load_checkpoint(path).step for path in found] == [9, 10, 100]
    assert list_checkpoints(tmp_path / "none") == []


@pytest.mark.parametrize("left", [0, 1, 3, 200, -22, -1])
def test_a_truncated_file_is_named_and_skipped(tmp_path, left):
    """torch says of an empty one nothing at all."""
    whole, path = checkpoint_path(tmp_path, 2), checkpoint_path(tmp_path, 3)
    save_checkpoint(whole, checkpoint(2))
    save_checkpoint(path, checkpoint())
    path.write_bytes(path.read_bytes()[:left])

    with pytest.raises(CheckpointError, match=r"step-00000003\.pt: cannot be read"):
        load_checkpoint(path)
    older = newest_usable(tmp_path)
    assert older is not None and older.step == 2


def test_a_byte_that_changed_is_noticed(tmp_path):
    """torch itself reads such a file without a word."""
    path = checkpoint_path(tmp_path, 3)
    save_checkpoint(path, checkpoint())
    content = path.read_bytes()
    weights = torch.arange(4.0).numpy().tobytes()
    path.write_bytes(content.replace(weights, weights[::-1], 1))

    with pytest.raises(CheckpointError, match=r"step-00000003\.pt: damaged: .*checksum"):
        load_checkpoint(path)


def test_a_checkpoint_that_cannot_be_written_says_where_and_why(tmp_path):
    path = checkpoint_path(tmp_path, 3)
    path.mkdir()

    with pytest.raises(CheckpointError, match=r"step-00000003\.pt: cannot be written: .*directory"):
        save_checkpoint(path, checkpoint())
    assert list(tmp_path.glob("*.tmp")) == []


def test_only_what_the_record_knows_is_gone_on_from(tmp_path, caplog):
    """The store may have lost its newest rows, and what led to the newest checkpoint with them."""
    for step in (3, 6, 9):
        save_checkpoint(checkpoint_path(tmp_path, step), checkpoint(step))

    newest, known = newest_usable(tmp_path), newest_usable(tmp_path, {3, 6})

    assert newest is not None and newest.step == 9
    assert known is not None and known.step == 6
    assert "step-00000009.pt: the store has no record of it" in caplog.text
    assert newest_usable(tmp_path, set()) is None


def test_a_file_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    path = tmp_path / "step-00000001.pt"
    path.write_bytes(pickle.dumps({"format": 1, "step": Evil()}))

    with pytest.raises(CheckpointError):
        load_checkpoint(path)
    assert not (tmp_path / "ran").exists()


def test_another_file_of_tensors_is_not_a_checkpoint(tmp_path):
    torch.save({"w": torch.zeros(1)}, tmp_path / "w.pt")

    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "w.pt")
    assert load_weights(tmp_path / "w.pt")["w"].tolist() == [0]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"gone\.pt"):
        load_checkpoint(tmp_path / "gone.pt")
    with pytest.raises(CheckpointError, match=r"gone\.safetensors"):
        load_weights(tmp_path / "gone.safetensors")
