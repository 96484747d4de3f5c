"""SIM's settings; every default is the paper's, the authors' code has its own by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from lab.config.box_method import BoxMethodConfig
from lab.config.fields import Count, Fraction, Frozen, Live, Positive, Weight

Temperature = Annotated[float, Field(gt=0.0)]

RELEASED: Mapping[str, Any] = {
    "iou_sharpness": 0.0,
    "low_threshold": 0.4,
    "assignment": "drawn",
    "semantic_affinity": True,
    "pseudo_weight": 0.3,
    "pseudo_growth_steps": 270_000,
}
RELEASED_PASTE: Mapping[str, Any] = {
    "bank_size": 50,
    "share": 0.5,
    "importance_power": 3.0,
    "repeated": True,
}
RELEASED_BOX_LOSS: Mapping[str, Any] = {"colour_threshold": 0.1}
"""Where the authors' code differs from the paper in a number or a switch."""


class PasteConfig(Frozen):
    """Weakly-supervised copy-paste: objects of earlier images, cut out along their pseudo masks."""

    enabled: Live[bool] = True
    weight: Live[Weight] = 1.0
    """lambda_2: of the mask loss of pasted objects."""
    bank_size: Positive = 100
    """The latest images whose objects are remembered; nothing is pasted until there are so many."""
    probability: Live[Fraction] = 0.5
    """How often an image is pasted into (the authors' code; the paper names no number)."""
    share: Live[Fraction] = 0.25
    """Share of an image's objects that is taken along,"""
    min_objects: Live[Positive] = 1
    """... at least so many, if there are,"""
    max_objects: Live[Positive] = 3
    """... and at most so many."""
    importance_power: Live[Weight] = 1.0
    """An object is taken with a probability in proportion to this power of its score."""
    repeated: Live[bool] = False
    """An object may be drawn twice, which takes fewer along (the authors' code)."""

    @model_validator(mode="after")
    def _limits_in_order(self) -> PasteConfig:
        if self.min_objects > self.max_objects:
            raise ValueError(
                f"min_objects {self.min_objects} is above max_objects {self.max_objects}"
            )
        return self


class SimConfig(BoxMethodConfig):
    """SIM (CVPR 2023): prototypes say what belongs to a class, positives to which object."""

    name: Literal["sim"]
    formulas: Literal["paper", "released"] = "paper"
    """released: the authors' code, where similarities have no temperature, the upper threshold
    follows the size of the instance map, and the pseudo loss is focal. Also brings its numbers,
    where none are given."""
    warmup_steps: Count = 10_000
    """Steps with BoxInst's losses alone."""
    num_prototypes: Positive = 10
    """L: directions per class."""
    temperature: Temperature = 0.1
    """tau: how sharply similarity to a prototype becomes probability."""
    assignment_smoothness: Temperature = 0.05
    """epsilon: how evenly a pixel may be shared among the prototypes of its class,"""
    assignment_steps: Positive = 3
    """... settled in so many Sinkhorn steps."""
    assignment: Live[Literal["best", "drawn"]] = "best"
    """A pixel belongs to the prototype with its largest share, or to one drawn by its shares."""
    prototype_momentum: Live[Fraction] = 0.999
    """gamma: what a prototype keeps of itself when an image moves it."""
    prototype_start: Live[Literal["random", "first"]] = "random"
    """random: gamma holds from the first move on; first: one moved n times keeps n / (n + 1) at
    most, so that its first pixels replace its random start. For short runs."""
    min_updates: Live[Count] = 10
    """A class has no semantic map until one of its prototypes moved this often."""
    iou_sharpness: Live[Weight] = 5.0
    """mu: how much more a positive counts whose box is better; 0 = all the same."""
    instance_share: Live[Fraction] = 0.5
    """alpha: of the instance map in a pseudo mask; the rest is the semantic map's."""
    high_threshold: Live[Fraction] = 0.7
    """Pixels of at least this probability are the object's,"""
    low_threshold: Live[Fraction] = 0.3
    """... of at most this they are not, and between both they teach nothing."""
    pseudo_weight: Live[Weight] = 0.5
    """lambda_1: of the mask loss of pseudo masks."""
    pseudo_growth_steps: Count = 0
    """... which grows linearly until this step."""
    semantic_affinity: Live[bool] = False
    """Neighbours are of one colour only if they are of one feature, too (the authors' code)."""
    paste: PasteConfig = PasteConfig()
    ema_decay: Live[Fraction] = 0.9999
    """Of the teacher, reached from 0 by step / (step + 10)."""

    @model_validator(mode="before")
    @classmethod
    def _as_released(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("formulas") != "released":
            return data
        paste = _with_defaults(data.get("paste", {}), RELEASED_PASTE)
        box_loss = _with_defaults(data.get("box_loss", {}), RELEASED_BOX_LOSS)
        return {**RELEASED, **data, "paste": paste, "box_loss": box_loss}

    @model_validator(mode="after")
    def _thresholds_in_order(self) -> SimConfig:
        if self.low_threshold > self.high_threshold:
            raise ValueError(
                f"low_threshold {self.low_threshold} is above high_threshold {self.high_threshold}"
            )
        return self


def _with_defaults(given: Any, defaults: Mapping[str, Any]) -> Any:
    return {**defaults, **given} if isinstance(given, dict) else given
