"""What box-supervised methods are tested with: real shapes in memory-sized runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.build import Parts, build_parts
from engine.recorder import MemoryRecorder
from engine.trainer import Trainer
from lab.config import RunConfig, parse_run_config
from lab.datasets.load import LoadedData, load_dataset


def box_config(method: dict[str, Any], **host: Any) -> RunConfig:
    """64 px shapes, batches of two, six steps."""
    return parse_run_config(
        {
            "name": f"tiny {method['name']}",
            "dataset": {"source": "shapes", "num_train": 8, "num_val": 2, "image_size": 64},
            "view": {"crop_size": 64, "eval_size": 64, "min_scale": 0.8, "max_scale": 1.0},
            "host": {
                "name": "condinst",
                "width": 8,
                "score_floor": 0.005,
                "mask_channels": 16,
                "max_instances": 16,
                **host,
            },
            "method": method,
            "schedule": {
                "max_steps": 4,
                "labeled_batch": 2,
                "unlabeled_batch": 0,
                "learning_rate": 1e-3,
                "clip_norm": 5.0,
                "eval_every": 0,
                "checkpoint_every": 2,
                "keep_checkpoints": 9,
                "device": "cpu",
            },
            "record": {"probe_images": 0, "min_class_quality": 0.0},
        }
    )


def box_parts(config: RunConfig, root: Path, data: LoadedData | None = None) -> Parts:
    return build_parts(config, data or load_dataset(config.dataset, root / "datasets"), root)


def trainer_of(parts: Parts, root: Path) -> tuple[Trainer, MemoryRecorder]:
    """The real trainer, told to evaluate nothing, and what it told."""
    recorder = MemoryRecorder()
    trainer = Trainer(
        config=parts.config,
        student=parts.student,
        teacher=parts.teacher,
        method=parts.method,
        optimizer=parts.optimizer,
        scaler=parts.scaler,
        recorder=recorder,
        device=parts.device,
        directory=root / "checkpoints",
        batches=parts.batches,
        initial_weights=parts.initial_weights,
        evaluate=lambda done: 0.0,
        probe=parts.probe,
    )
    return trainer, recorder
