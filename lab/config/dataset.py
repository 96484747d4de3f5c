"""Which images, which of them are labelled, and how they are seen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from lab.config.fields import Count, Fraction, Frozen, Positive, Weight


class LooksConfig(Frozen):
    """What generated images are like; each share is of all objects.

    Borders of objects whose colours deceive lie where no colour changes, so what is learnt from
    colours alone (BoxInst's pairwise term) is wrong there, while a true mask still teaches them.
    """

    low_contrast: Fraction = 0.15
    """Their colours, or their texture, are nearly the ground's."""
    shared_texture: Fraction = 0.0
    """They wear the ground's two colours in a pattern of their own."""
    twins: Fraction = 0.12
    """They touch the object before them and wear the same paint."""
    sizes: tuple[Fraction, Fraction, Fraction] = (0.25, 0.5, 0.25)
    """Shares of small, medium and large objects: their longest side is 6 to 15, 15 to 30 or 30 to
    60 % of the image's."""
    objects: tuple[Positive, Annotated[int, Field(ge=1, le=50)]] = (2, 7)
    """Fewest and most objects of an image."""

    @model_validator(mode="after")
    def _possible(self) -> LooksConfig:
        if abs(sum(self.sizes) - 1) > 1e-6:
            raise ValueError(f"sizes {list(self.sizes)} add up to {sum(self.sizes):g}, not to 1")
        if self.objects[0] > self.objects[1]:
            raise ValueError(f"objects {list(self.objects)}: the fewest are more than the most")
        return self


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
    labels: Literal["class", "supercategory"] = "class"
    """What is told of an object; its supercategory is far easier to learn, and leaves outlines as
    what a method can be better at."""
    looks: LooksConfig = LooksConfig()


class CocoConfig(Frozen):
    """Any dataset in COCO format."""

    source: Literal["coco"]
    train_json: Path
    """Instances of the training images."""
    train_images: Path
    """Directory of the training images."""
    train_depth: Path | None = None
    """Directory of their depth maps, for method pseudo_depth: grey PNG of 8 or 16 bits under the
    name of the image, the nearest lightest; `seglab data depth` makes them."""
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
    short_sides: tuple[Annotated[int, Field(ge=32)], ...] = ()
    """Whole images instead of crops: their short side is one of these, drawn anew each time, and a
    batch is padded to a common size (`crop_size` and the scales say nothing then)."""
    max_side: Annotated[int, Field(ge=32)] = 1333
    """... but their long side is at most this."""
    eval_short_side: Annotated[int, Field(ge=32)] | None = None
    """Short side at evaluation, the long one at most `max_side`; None = `eval_size` decides."""
    strong: StrongViewConfig = StrongViewConfig()

    @model_validator(mode="after")
    def _ordered(self) -> ViewConfig:
        if self.min_scale > self.max_scale:
            raise ValueError(f"min_scale {self.min_scale} is above max_scale {self.max_scale}")
        return self
