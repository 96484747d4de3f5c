"""What a run is: one frozen, validated description. A field's docstring is its help everywhere.

A run = (dataset view, host network, method, schedule). It is written as TOML in `experiments/`;
`extends = "base.toml"` takes another file first. Unknown keys are refused with file and key.
"""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Weight = Annotated[float, Field(ge=0.0)]


class ConfigError(ValueError):
    """A config that cannot be used; the message names file, key and value."""


class Frozen(BaseModel):
    """Immutable, unknown keys refused, field docstrings kept as descriptions."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ShapesConfig(Frozen):
    """The generated dataset (lab/datasets/shapes.py)."""

    source: Literal["shapes"] = "shapes"
    num_train: Positive = 600
    """Training images, labelled and unlabelled together."""
    num_val: Positive = 100
    """Validation images."""
    image_size: Annotated[int, Field(ge=32)] = 128
    """Side of the square images, pixels."""
    seed: Count = 0
    """Seed of the generator; other seeds give disjoint images."""
    family: Literal["main", "pretrain"] = "main"
    """Which set of classes: `pretrain` shares none with `main`."""


class CocoConfig(Frozen):
    """Any dataset in COCO format."""

    source: Literal["coco"]
    train_json: Path
    """Instances of the training images."""
    train_images: Path
    """Directory of the training images."""
    val_json: Path
    """Instances of the validation images."""
    val_images: Path
    """Directory of the validation images."""
    unlabeled_json: Path | None = None
    """More images without labels (only its `images` list is used)."""
    unlabeled_images: Path | None = None
    """Directory of those."""


class SplitConfig(Frozen):
    """Which training images keep their labels."""

    labeled_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    """Share of the training images that are labelled."""
    seed: Count = 0
    """Seed of the draw; every class keeps at least one labelled instance."""


class StrongViewConfig(Frozen):
    """Photometric perturbation of the student's view (methods.md 1.5, PL-DC Tab. III)."""

    jitter_probability: Fraction = 0.8
    brightness: Weight = 0.4
    contrast: Weight = 0.4
    saturation: Weight = 0.4
    hue: Annotated[float, Field(ge=0.0, le=0.5)] = 0.1
    grayscale_probability: Fraction = 0.2
    blur_probability: Fraction = 0.5
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    """Pixels at `reference_size`; scaled with the crop for small images."""
    reference_size: Positive = 1024
    """Crop size the paper's blur was chosen for."""
    erasing: bool = True
    """Three passes of random erasing with noise."""


class ViewConfig(Frozen):
    """Geometry shared by the weak and the strong view, and the strong view's perturbation."""

    crop_size: Annotated[int, Field(ge=32, multiple_of=32)] = 1024
    """Side of the square training crop, pixels; smaller images are padded right and bottom."""
    eval_size: Annotated[int, Field(ge=32)] = 1024
    """Longest side of an image at evaluation, pixels."""
    flip_probability: Fraction = 0.5
    min_scale: Annotated[float, Field(gt=0.0)] = 0.1
    """ResizeScale: smallest factor on the fit to `crop_size`."""
    max_scale: Annotated[float, Field(gt=0.0)] = 2.0
    """ResizeScale: largest factor."""
    strong: StrongViewConfig = StrongViewConfig()

    @model_validator(mode="after")
    def _ordered(self) -> ViewConfig:
        if self.min_scale > self.max_scale:
            raise ValueError(f"min_scale {self.min_scale} is above max_scale {self.max_scale}")
        return self


class CondInstConfig(Frozen):
    """Host `condinst`: FCOS with conditional convolutions (arXiv:2003.05664)."""

    name: Literal["condinst"] = "condinst"
    preset: Literal["tiny", "r50", "r101"] = "tiny"
    """tiny: ResNet-18 of `width`, levels P3-P5, for small images; r50, r101: the paper's."""
    width: Annotated[int, Field(ge=8)] = 16
    """Channels of the tiny backbone's first stage."""
    backbone_weights: str | None = None
    """None = random; "shapes" = the shipped tiny backbone (width 24); otherwise a local file."""
    freeze_stages: Annotated[int, Field(ge=0, le=5)] = 0
    """Freeze the stem (1) and this many backbone stages less one; 5 = all (PL-DC)."""
    max_instances: Positive = 64
    """Mask-loss samples per image, shared evenly among its objects."""
    score_floor: Fraction = 0.05
    """Locations below this class score never become candidates."""
    nms_threshold: Fraction = 0.6
    max_detections: Positive = 100


HostConfig = CondInstConfig


class ClipConfig(Frozen):
    """The CLIP model of DICC."""

    model: str = "tiny"
    """"tiny" = the offline stand-in trained on labelled crops; otherwise an open_clip name."""
    pretrained: str | None = "shapes"
    """"shapes" = shipped tiny weights; "labeled" = train on the labelled crops before burn-in
    ends; an open_clip tag; or a local file. None is refused: a random CLIP corrects nothing."""
    templates: tuple[str, ...] = ("a photo of a {class}.",)
    """Prompts per class; their text features are averaged."""
    margin: Weight = 0.0
    """Context around the mask's tight box, as a share of its sides."""
    max_patches: Positive = 50
    """Most patches per image, best class quality first."""
    min_patch: Positive = 2
    """A patch with a shorter side than this keeps the teacher's class, pixels."""
    train_steps: Count = 600
    """Steps of training when `pretrained` is "labeled"."""


class SupervisedConfig(Frozen):
    """Labelled images only: the line every method is compared with."""

    name: Literal["supervised"] = "supervised"
    strong_views: bool = False
    """Train on weak AND strong views of each labelled image, as PL-DC's burn-in does."""
    ema_decay: Fraction = 0.9996
    """Decay of the evaluated average of the weights; 0 = the student itself."""


class GuidedDistillationConfig(Frozen):
    """GuidedDistillation (arXiv:2308.03747): one class threshold."""

    name: Literal["guided_distillation"]
    class_threshold: Fraction = 0.7
    """Keep a pseudo-label when its class quality is above this."""
    min_mask_area: Count = 5
    """... and its mask has more pixels than this."""
    unsup_weight: Weight = 2.0
    ema_decay: Fraction = 0.9996
    burn_in_steps: Count = 20_000
    """Steps on labelled images before the teacher exists."""
    guided_steps: Count = 0
    """Then: steps with a frozen teacher and a student restarted from its initial weights."""
    erasing: bool = False
    """Random erasing in the strong view (the original has none)."""
    spare_doubtful: bool = False
    """Do not teach that nothing is where the teacher saw something it dropped. For dense hosts,
    whose every location is a negative; the papers' host gives those a tenth of the weight."""


class PlDcConfig(Frozen):
    """PL-DC: decoupled thresholds, category correction, pixel uncertainty."""

    name: Literal["pl_dc"]
    class_threshold: Fraction = 0.85
    """T_c: keep when class quality is at least this."""
    mask_threshold: Fraction = 0.9
    """T_m: ... and mask quality at least this."""
    ddtf: bool = True
    """Two thresholds; off = one on the coupled score."""
    coupled_threshold: Fraction = 0.7
    """T of the coupled score when `ddtf` is off."""
    dicc: bool = True
    """Correct classes with CLIP."""
    pmua: bool = True
    """Weight mask pixels by the teacher's certainty."""
    min_mask_area: Count = 5
    """Drop masks with this many pixels or fewer."""
    spare_doubtful: bool = False
    """Do not teach that nothing is where the teacher saw something it dropped. For dense hosts,
    whose every location is a negative; the papers' host gives those a tenth of the weight."""
    unsup_weight: Weight = 1.0
    """lambda_u, PL-DC Eq. 1."""
    ema_decay: Fraction = 0.9996
    burn_in_steps: Count = 20_000
    """Steps on labelled images before the teacher exists."""
    clip: ClipConfig = ClipConfig()

    @model_validator(mode="after")
    def _clip_can_correct(self) -> PlDcConfig:
        if self.dicc and self.clip.pretrained is None:
            raise ValueError(
                "dicc needs a trained CLIP: set method.clip.pretrained to an open_clip tag or a "
                "local file (or dicc = false); a randomly initialised CLIP is refused"
            )
        return self


MethodConfig = Annotated[
    SupervisedConfig | GuidedDistillationConfig | PlDcConfig, Field(discriminator="name")
]


class ScheduleConfig(Frozen):
    """How long, how fast, how often."""

    max_steps: Positive = 368_750
    labeled_batch: Positive = 8
    """Labelled images per step."""
    unlabeled_batch: Count = 8
    """Unlabelled images per step once the teacher exists."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0.0)] = 1e-4
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
    device: str = "auto"
    """"auto" = CUDA when there is one, else CPU."""
    num_workers: Count = 0
    """Processes that load images; 0 = the training process."""
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


class RunConfig(Frozen):
    """A run, completely. What is stored is this, resolved."""

    name: str = "run"
    """What people call it; identity is the run id."""
    seed: Count = 0
    dataset: Annotated[ShapesConfig | CocoConfig, Field(discriminator="source")] = ShapesConfig()
    split: SplitConfig = SplitConfig()
    view: ViewConfig = ViewConfig()
    host: HostConfig = CondInstConfig()
    method: MethodConfig = SupervisedConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    record: RecordConfig = RecordConfig()

    @model_validator(mode="after")
    def _steps_add_up(self) -> RunConfig:
        if not isinstance(self.method, SupervisedConfig):
            if self.schedule.unlabeled_batch < 1:
                raise ValueError(f"method {self.method.name} needs schedule.unlabeled_batch >= 1")
            if self.method.burn_in_steps >= self.schedule.max_steps:
                raise ValueError(
                    f"method.burn_in_steps {self.method.burn_in_steps} leaves no step of "
                    f"schedule.max_steps {self.schedule.max_steps} for pseudo-labels"
                )
        return self


def load_run_config(path: Path, overrides: Mapping[str, Any] | None = None) -> RunConfig:
    """Read a TOML file, its `extends` first, then dotted overrides such as {"schedule.seed": 1}.

    Relative paths inside `dataset` are taken from the file that names them.

    Raises:
        ConfigError: naming the file, the key and the value.
    """
    tree = with_overrides(_read_tree(path, seen=()), overrides or {})
    return parse_run_config(tree, origin=str(path))


def with_overrides(tree: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a nested config in which dotted keys such as "schedule.seed" have new values.

    Raises:
        ConfigError: a dotted key goes through something that is not a table.
    """
    changed = copy.deepcopy(dict(tree))
    for key, value in overrides.items():
        _set_dotted(changed, key, value)
    return changed


def parse_run_config(tree: Mapping[str, Any], origin: str = "config") -> RunConfig:
    """Validate a nested mapping; errors name `origin`, the dotted key and the value."""
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(_explain(error, origin)) from None


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}: the form in which configs are compared."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = value
    return flat


def parse_override(text: str) -> tuple[str, Any]:
    """Split "schedule.max_steps=100" into key and value. The value is TOML, else a string."""
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"override {text!r}: expected key=value, such as seed=1")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def _read_tree(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    path = path.resolve()
    if path in seen:
        raise ConfigError(f"{path}: extends itself by way of {seen[-1]}")
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    _anchor_paths(tree, path.parent)
    parent = tree.pop("extends", None)
    if parent is None:
        return tree
    if not isinstance(parent, str):
        raise ConfigError(f"{path}: extends = {parent!r}: expected the name of a file")
    return _merge(_read_tree(path.parent / parent, (*seen, path)), tree)


def _anchor_paths(tree: dict[str, Any], directory: Path) -> None:
    dataset = tree.get("dataset")
    if not isinstance(dataset, dict):
        return
    for key, value in dataset.items():
        if key.endswith(("_json", "_images")) and isinstance(value, str):
            dataset[key] = str(directory / Path(value).expanduser())


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` wins; tables merge, except that another `name` or `source` replaces the table."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            replaces = any(
                tag in value and value[tag] != old.get(tag) for tag in ("name", "source")
            )
            merged[key] = dict(value) if replaces else _merge(old, value)
        else:
            merged[key] = value
    return merged


def _set_dotted(tree: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"override {key}: {parent} is a value, not a table")
    tree[last] = value


def _explain(error: ValidationError, origin: str) -> str:
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"]) or "(whole file)"
        value = item["input"]
        shown = "" if isinstance(value, (dict, BaseModel)) else f" = {value!r}"
        reason = "unknown key" if item["type"] == "extra_forbidden" else item["msg"]
        lines.append(f"{origin}: {key}{shown}: {reason}")
    return "\n".join(lines)
