"""The papers' own settings; every default is the paper's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from lab.config.box_method import BoxInstConfig, BoxTeacherConfig
from lab.config.boxseg import BoxSegConfig
from lab.config.descriptions import Descriptions, check_descriptions, read_descriptions
from lab.config.fields import Count, Fraction, Frozen, Live, Positive, Weight
from lab.config.pseudo_depth import PseudoDepthConfig
from lab.config.sim import SimConfig


class ClipConfig(Frozen):
    """The CLIP model of DICC."""

    model: str = "tiny"
    """"tiny" = the offline stand-in trained on labelled crops; otherwise an open_clip name."""
    pretrained: str | None = "shapes"
    """"shapes" = shipped tiny weights; "labeled" = train on the labelled crops before burn-in
    ends; an open_clip tag; or a local file. None is refused: a random CLIP corrects nothing."""
    templates: tuple[str, ...] = ("a photo of a {class}.",)
    """Prompts per class."""
    descriptions: Descriptions | None = None
    """Sentences per class in place of the templates: a table, or a path to a JSON or TOML file of
    one, which is read at once, so that a run keeps what it was told."""
    combine: Literal["features", "logits"] = "features"
    """How several texts of a class become one: "features" = the mean of their features; "logits" =
    the authors' sum of l_j softmax(l)_j over their similarities l, where the best text counts
    most."""
    unknown_classes: Literal["refuse", "keep"] = "refuse"
    """Classes the tiny CLIP was never taught: an error, or their objects keep the teacher's
    class."""
    margin: Weight = 0.0
    """Context around the mask's tight box, as a share of its sides."""
    max_patches: Positive = 50
    """Most patches per image, best class quality first."""
    min_patch: Positive = 2
    """A patch with a shorter side than this keeps the teacher's class, pixels."""
    train_steps: Count = 600
    """Steps of training when `pretrained` is "labeled"."""

    @field_validator("descriptions", mode="before")
    @classmethod
    def _read(cls, value: object) -> object:
        if isinstance(value, (str, Path)):
            value = read_descriptions(Path(value))
        return value if value is None else check_descriptions(value)


class SupervisedConfig(Frozen):
    """Labelled images only: the line every method is compared with."""

    name: Literal["supervised"] = "supervised"
    strong_views: bool = False
    """Train on weak AND strong views of each labelled image, as PL-DC's burn-in does."""
    ema_decay: Live[Fraction] = 0.9996
    """Decay of the evaluated average of the weights; 0 = the student itself."""


class GuidedDistillationConfig(Frozen):
    """GuidedDistillation (arXiv:2308.03747): one class threshold."""

    name: Literal["guided_distillation"]
    class_threshold: Live[Fraction] = 0.7
    """Keep a pseudo-label when its class quality is above this."""
    min_mask_area: Live[Count] = 5
    """... and its mask has more pixels than this."""
    unsup_weight: Live[Weight] = 2.0
    ema_decay: Live[Fraction] = 0.9996
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
    class_threshold: Live[Fraction] = 0.85
    """T_c: keep when class quality is at least this."""
    mask_threshold: Live[Fraction] = 0.9
    """T_m: ... and mask quality at least this."""
    ddtf: Live[bool] = True
    """Two thresholds; off = one on the coupled score."""
    coupled_threshold: Live[Fraction] = 0.7
    """T of the coupled score when `ddtf` is off."""
    dicc: bool = True
    """Correct classes with CLIP."""
    fusion: Literal["dicc", "plepi"] = "dicc"
    """How CLIP and the teacher become one: "dicc" = their mean, CLIP's share falling from 1/2 to 0;
    "plepi" = their product, the same all the time."""
    plepi_power: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """1 = the product; 0.5 = the geometric mean: the same class, less sure of it."""
    pmua: Live[bool] = True
    """Weight mask pixels by the teacher's certainty."""
    min_mask_area: Live[Count] = 5
    """Drop masks with this many pixels or fewer."""
    spare_doubtful: bool = False
    """Do not teach that nothing is where the teacher saw something it dropped. For dense hosts,
    whose every location is a negative; the papers' host gives those a tenth of the weight."""
    unsup_weight: Live[Weight] = 1.0
    """lambda_u, PL-DC Eq. 1."""
    ema_decay: Live[Fraction] = 0.9996
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
    SupervisedConfig
    | GuidedDistillationConfig
    | PlDcConfig
    | BoxInstConfig
    | BoxTeacherConfig
    | BoxSegConfig
    | PseudoDepthConfig
    | SimConfig,
    Field(discriminator="name"),
]
