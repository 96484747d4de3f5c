"""How long and how fast, and what is recorded on the way."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lab.config.fields import Count, Fraction, Frozen, Positive, Weight


class ScheduleConfig(Frozen):
    """How long, how fast, how often."""

    max_steps: Positive = 368_750
    labeled_batch: Positive = 8
    """Labelled images per step."""
    unlabeled_batch: Count = 8
    """Unlabelled images per step once the teacher exists."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0.0)] = 1e-4
    backbone_rate: Annotated[float, Field(gt=0.0)] = 1.0
    """Share of the learning rate that the backbone gets; transformers on pretrained ones take
    0.1."""
    weight_decay: Weight = 1e-4
    warmup_steps: Count = 0
    """Linear warm-up of the learning rate."""
    decay: Literal["multistep", "cosine", "constant"] = "multistep"
    milestones: tuple[int, ...] = ()
    """multistep: the rate drops tenfold at each of these steps."""
    cosine_start: Count = 0
    """cosine: the rate is constant before this step and falls to `final_rate` after it."""
    cosine_end: Count = 0
    """cosine: where it has fallen; 0 = `max_steps`. A run others go on from names their end."""
    final_rate: Fraction = 0.01
    """cosine: share of the learning rate left at the end."""
    clip_norm: Weight = 0.01
    """L2 norm the full gradient is clipped to; 0 = off."""
    amp: Literal["off", "bf16", "fp16"] = "off"
    """Autocast type; `bf16` is meant for CUDA."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    """"auto" = CUDA when there is one, else CPU."""
    processes: Positive = 1
    """Processes that train together, on a GPU each if there are any. Each takes its share of every
    batch; the batch sizes above are those of all of them."""
    num_workers: Count = 0
    """Processes that load images, of each that trains; 0 = the training process."""
    num_threads: Positive = 1
    """OpenMP threads per process."""
    eval_every: Count = 5_000
    """Steps between evaluations; 0 = only at the end."""
    checkpoint_every: Positive = 5_000
    keep_checkpoints: Positive = 2
    """Newest checkpoints kept."""
    channels_last: bool = True
    compile: bool = False
    """torch.compile the networks."""

    @model_validator(mode="after")
    def _can_be_shared(self) -> ScheduleConfig:
        """Every process gets as many images, and a device of its own."""
        for key in ("labeled_batch", "unlabeled_batch"):
            size = getattr(self, key)
            if size % self.processes:
                raise ValueError(
                    f"schedule.{key} = {size} cannot be shared by schedule.processes = "
                    f"{self.processes}: take a multiple of it"
                )
        if self.processes > 1 and self.device not in ("auto", "cpu", "cuda"):
            raise ValueError(
                f"schedule.device = {self.device!r} is one device, and schedule.processes = "
                f'{self.processes} need one each: write "auto", "cuda" or "cpu"'
            )
        return self


class RecordConfig(Frozen):
    """What goes into the store, and how much of it stays."""

    every: Positive = 1
    """Record pseudo-labels every this many steps."""
    keep: Positive = 1
    """Of the recorded steps, every k-th keeps its masks; scores are always kept."""
    min_class_quality: Fraction = 0.05
    """Candidates below this class quality are not recorded."""
    probe_images: Count = 8
    """Fixed unlabelled images predicted again and again: the time-lapse."""
    probe_every: Positive = 1_000
    scalars_every: Positive = 1
