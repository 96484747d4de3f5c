"""What the drills train: whole runs of a few seconds, whose every number is known beforehand.

A run that is stopped and resumed any number of times has to end with the numbers of one that was
not.
"""

from __future__ import annotations

from pathlib import Path

from tests.drill.stage import Stage

COMMON = """
name = "{name}"
dataset = {{ source = "shapes", num_train = 16, num_val = 2, image_size = 64 }}
split = {{ labeled_fraction = 0.5 }}
view = {{ crop_size = 64, eval_size = 64 }}
host = {{ name = "condinst", width = 8, score_floor = 0.005, max_detections = 10 }}
record = {{ probe_images = 1, probe_every = 10, min_class_quality = 0.0 }}

[schedule]
max_steps = {steps}
labeled_batch = 1
unlabeled_batch = {unlabeled}
device = "cpu"
eval_every = 25
checkpoint_every = {save_every}
"""
PL_DC = """
[method]
name = "pl_dc"
class_threshold = 0.01
mask_threshold = 0.5
burn_in_steps = 3
ema_decay = 0.9
dicc = false
"""
SIM = """
[method]
name = "sim"
warmup_steps = 2
min_updates = 1
high_threshold = 0.3
low_threshold = 0.2
ema_decay = 0.9
box_loss = { warmup_steps = 4, bottom_rows = 0, dilation = 1 }
paste = { bank_size = 2, probability = 1.0 }
"""


def write_recipes(directory: Path, *, steps: int = 120, save_every: int = 5) -> dict[str, Path]:
    """Two methods, one of which keeps a memory in its checkpoints; files by name."""
    written = {}
    for name, method, unlabeled in (("pl_dc", PL_DC, 1), ("sim", SIM, 0)):
        common = COMMON.format(name=name, steps=steps, save_every=save_every, unlabeled=unlabeled)
        written[name] = directory / f"{name}.toml"
        written[name].write_text(common + method, encoding="utf-8")
    return written


def unbroken(stage: Stage, recipe: Path) -> str:
    """The id of a run that nobody disturbs, trained to its end."""
    return stage.ask("train", str(recipe), "--name", f"unbroken {recipe.stem}")["run_id"]
