"""The networks that find instances."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lab.config.fields import Fraction, Frozen, Positive


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
