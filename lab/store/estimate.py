"""What a run will add to the store, before it starts. Pure: config and dataset size in, bytes out.

Right within a factor of two for networks that learn: how many candidates a teacher has is the
unknown. The constants are of recorded runs (see row_bytes.py for those of rows).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lab.config import RunConfig
from lab.datasets.sizes import DatasetSize
from lab.store.row_bytes import BYTES_PER_SCALAR, mask_bytes, score_bytes

CANDIDATES_PER_TRUTH = 2.4
"""Candidates of class quality >= 0.05 per true object."""
FLOORS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
SHARE_ABOVE = (1.0, 1.0, 0.96, 0.58, 0.35, 0.11, 0.0)
"""Share of those candidates that reach a class quality."""
RLE_BYTES_PER_PIXEL = 3.3
"""Bytes of a compressed mask per pixel of the root of its area."""
CURVES, CURVES_OF_A_TEACHER = 10, 9
"""Scalars per recorded step, the machine's included; so many more once a teacher teaches."""
BYTES_PER_PARAMETER = 16.2
"""In a checkpoint: student, teacher and two moments of the optimiser, four bytes each."""
MILLION_PARAMETERS = {
    "r50": 34.0,
    "r101": 53.0,
    "r101_dcn": 59.0,
    "swin_t": 38.0,
    "swin_s": 60.0,
    "swin_b": 97.0,
}
LARGEST = 210.0
TRANSFORMER = 10.0
"""Millions that Mask2Former has more than CondInst."""
BYTES_PER_IMAGE, BYTES_PER_TRUTH = 200, 125
PREDICTION_BYTES = 200
"""Of a prediction in json, beside its mask."""


@dataclass(frozen=True, slots=True)
class SizeEstimate:
    """Bytes by kind, as `RunBytes` has them when the run is over."""

    labels: int
    """How many pseudo-labels, not bytes."""
    masks: int
    scores: int
    curves: int
    checkpoints: int
    predictions: int
    dataset: int
    """Images and truth: written once, however many runs share them."""

    @property
    def total(self) -> int:
        rows = self.masks + self.scores + self.curves + self.dataset
        return rows + self.checkpoints + self.predictions


def estimate_run(config: RunConfig, size: DatasetSize) -> SizeEstimate:
    """What the run adds from its first step to its last."""
    record, schedule = config.record, config.schedule
    per_image = candidates_per_image(config, size)
    sets, kept_sets = recorded_sets(config)
    probes = 2 * record.probe_images * (schedule.max_steps // record.probe_every + 2)
    side = RLE_BYTES_PER_PIXEL * size.mean_side
    masks = (kept_sets + probes) * per_image
    points = CURVES * schedule.max_steps + CURVES_OF_A_TEACHER * teaching_steps(config)
    predictions = 2 * size.val_images * 2 * per_image * (PREDICTION_BYTES + side)
    truths = (size.train_images + size.val_images) * size.instances_per_image
    return SizeEstimate(
        labels=round((sets + probes) * per_image),
        masks=mask_bytes(round(masks), masks * side),
        scores=score_bytes((sets + probes) * per_image, sets + probes),
        curves=round(BYTES_PER_SCALAR * points / record.scalars_every),
        checkpoints=round(checkpoint_bytes(config) * num_checkpoints(config)),
        predictions=round(predictions),
        dataset=round(
            BYTES_PER_IMAGE * (size.train_images + size.val_images) + BYTES_PER_TRUTH * truths
        ),
    )


def candidates_per_image(config: RunConfig, size: DatasetSize) -> float:
    """Labels recorded of one image at one step."""
    reached = float(np.interp(config.record.min_class_quality, FLOORS, SHARE_ABOVE))
    wanted = CANDIDATES_PER_TRUTH * size.instances_per_image * reached
    return min(wanted, config.host.max_detections)


def teaching_steps(config: RunConfig) -> int:
    """Steps in which a teacher makes pseudo-labels."""
    if config.method.name in ("supervised", "boxinst"):
        return 0
    return config.schedule.max_steps - int(getattr(config.method, "burn_in_steps", 0))


def recorded_sets(config: RunConfig) -> tuple[int, int]:
    """Images times steps of which pseudo-labels are recorded, and of which masks are kept too."""
    record, schedule, steps = config.record, config.schedule, teaching_steps(config)
    semi = hasattr(config.method, "unsup_weight")
    images = schedule.unlabeled_batch if semi else schedule.labeled_batch
    return images * -(-steps // record.every), images * -(-steps // (record.every * record.keep))


def num_checkpoints(config: RunConfig) -> int:
    """Checkpoints that lie on disk in the end."""
    schedule = config.schedule
    return min(schedule.keep_checkpoints, -(-schedule.max_steps // schedule.checkpoint_every))


def checkpoint_bytes(config: RunConfig) -> float:
    """Bytes of one checkpoint."""
    host = config.host
    if host.preset == "tiny":
        millions = 0.49 + 0.00276 * host.width**2
    else:
        millions = MILLION_PARAMETERS.get(host.preset, LARGEST)
    extra = TRANSFORMER if host.name != "condinst" and host.preset != "tiny" else 0.0
    return BYTES_PER_PARAMETER * 1e6 * (millions + extra)
