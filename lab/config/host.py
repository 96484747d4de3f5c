"""The networks that find instances."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from lab.config.fields import Fraction, Frozen, Positive, Weight


def _none_if_empty(value: object) -> object:
    """TOML and `-o key=` cannot say None: an empty text takes an inherited value back."""
    return None if value == "" else value


Source = Annotated[str | None, BeforeValidator(_none_if_empty)]


class CondInstConfig(Frozen):
    """Host `condinst`: FCOS with conditional convolutions (arXiv:2003.05664)."""

    name: Literal["condinst"] = "condinst"
    preset: Literal["tiny", "r50", "r101", "r101_dcn", "swin_t", "swin_b"] = "tiny"
    """tiny: ResNet-18 of `width`, levels P3-P5, for small images; the others: P3-P7 as in the
    papers; r101_dcn: deformable convolutions in every third block, below a BiFPN."""
    width: Annotated[int, Field(ge=8)] = 16
    """Channels of the tiny backbone's first stage."""
    backbone_weights: Source = None
    """None = random; "shapes" = the shipped tiny backbone (width 24); otherwise a local file."""
    freeze_stages: Annotated[int, Field(ge=0, le=5)] = 0
    """Freeze the stem (1) and this many backbone stages less one; 5 = all (PL-DC)."""
    mask_channels: Positive = 8
    """Channels the masks are made of; BoxInst and what builds on it take 16."""
    depth_layer: bool = False
    """A second output of the mask head, for method pseudo_depth."""
    box_quality: Literal["centerness", "iou"] = "centerness"
    """What the branch beside the box learns: how central a location is, or the IoU of its box."""
    class_loss: Literal["focal", "varifocal"] = "focal"
    """varifocal: the class score learns the IoU of the box, as BoxSeg wants it."""
    max_instances: Positive = 64
    """Mask-loss samples per image, shared evenly among its objects."""
    score_floor: Fraction = 0.05
    """Locations below this class score never become candidates."""
    nms_threshold: Fraction = 0.6
    """Of two boxes of a class with a higher IoU the weaker is suppressed; 1 = none is."""
    max_detections: Positive = 100


class Mask2FormerConfig(Frozen):
    """Host `mask2former`: masked-attention transformer (arXiv:2112.01527)."""

    name: Literal["mask2former"]
    preset: Literal["tiny", "r50", "r101", "swin_t", "swin_s", "swin_b", "swin_l"] = "r50"
    """tiny: ResNet-18 of `width`, for small images; the others as published."""
    width: Annotated[int, Field(ge=8)] = 24
    """Channels of the tiny backbone's first stage."""
    weights: Source = None
    """A trained network: a file in Detectron2's format (.pkl, .pth) or a transformers directory."""
    backbone_weights: Source = None
    """None = random; "shapes" = the shipped tiny backbone (width 24); otherwise a local file."""
    freeze_stages: Annotated[int, Field(ge=0, le=5)] = 0
    """Freeze the stem (1) and this many backbone stages less one; 5 = all (PL-DC)."""
    num_queries: Positive | None = None
    """Objects that can be found; None = the preset's (100; swin_l 200, tiny 30)."""
    decoder_layers: Positive | None = None
    """None = the preset's (9; tiny 3). Queries are also taught before the first layer."""
    num_points: Positive | None = None
    """Points per mask in costs and losses; None = the preset's (12544; tiny 1024)."""
    oversample: Annotated[float, Field(ge=1.0)] = 3.0
    """Candidates per point that is chosen for being undecided."""
    importance: Fraction = 0.75
    """Share of the points that is chosen so; the rest is anywhere."""
    class_weight: Weight = 2.0
    """Of the class term, in matching and loss."""
    mask_weight: Weight = 5.0
    """Of the cross-entropy of points, in matching and loss."""
    dice_weight: Weight = 5.0
    """Of the dice term, in matching and loss."""
    box_weight: Weight = 5.0
    """Of the boxes' shadows, in matching where no mask is known; their loss is the method's."""
    no_object: Weight = 0.1
    """Weight of queries without an object in the class loss."""
    score_floor: Fraction = 0.05
    """Of all (query, class) pairs, those that are no more probable are not proposed for a box."""
    max_detections: Positive = 100
    """Most (query, class) pairs per image."""

    @model_validator(mode="after")
    def _one_source_of_weights(self) -> Mask2FormerConfig:
        if self.weights is not None and self.backbone_weights is not None:
            raise ValueError(
                f"weights {self.weights!r} and backbone_weights {self.backbone_weights!r}: "
                "give one; a trained network brings its backbone (-o host.backbone_weights= "
                "takes the other back)"
            )
        return self


def _named(value: object) -> object:
    """A table without a name means the default host."""
    return {"name": "condinst"} | value if isinstance(value, dict) else value


HostConfig = Annotated[
    Annotated[CondInstConfig | Mask2FormerConfig, Field(discriminator="name")],
    BeforeValidator(_named),
]
