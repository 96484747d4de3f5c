"""Tiny but complete runs: real images on disk, a real store, the real trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.config import RunConfig, parse_run_config
from lab.store.store import Store

SUPERVISED: dict[str, Any] = {"name": "supervised", "strong_views": True, "ema_decay": 0.9}
GUIDED: dict[str, Any] = {
    "name": "guided_distillation",
    "class_threshold": 0.1,
    "burn_in_steps": 3,
    "ema_decay": 0.9,
}
PL_DC: dict[str, Any] = {
    "name": "pl_dc",
    "class_threshold": 0.02,
    "mask_threshold": 0.5,
    "burn_in_steps": 3,
    "ema_decay": 0.9,
    "dicc": False,
}


def tiny_config(method: dict[str, Any], **schedule: Any) -> RunConfig:
    """64 px shapes, batches of two, 8 steps unless told otherwise."""
    return parse_run_config(
        {
            "name": f"tiny {method['name']}",
            "dataset": {"source": "shapes", "num_train": 24, "num_val": 4, "image_size": 64},
            "split": {"labeled_fraction": 0.5},
            "view": {"crop_size": 64, "eval_size": 64, "min_scale": 0.8, "max_scale": 1.25},
            "host": {"name": "condinst", "width": 8, "score_floor": 0.005, "max_detections": 20},
            "method": method,
            "schedule": {
                "max_steps": 8,
                "labeled_batch": 2,
                "unlabeled_batch": 2,
                "learning_rate": 1e-3,
                "clip_norm": 5.0,
                "eval_every": 0,
                "checkpoint_every": 3,
                **schedule,
            },
            "record": {"probe_images": 2, "probe_every": 4, "min_class_quality": 0.0},
        }
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A place with a space and an umlaut in its name, as people have."""
    return tmp_path / "seglab data ü"


@pytest.fixture
def opened(root: Path):
    with Store.open(root) as store:
        yield store
