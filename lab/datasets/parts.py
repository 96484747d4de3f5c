"""What a run may learn from each part of its data, and which truth stays hidden from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lab.config import BoxMethodConfig, CocoConfig, RunConfig, ShapesConfig, SupervisedConfig
from lab.datasets.records import Dataset, ImageRecord
from lab.datasets.splits import apply_split, split_labeled

PartName = Literal["labeled", "unlabeled", "train", "val"]
"""`train` = training images that cannot be told apart."""
Use = Literal["masks", "boxes", "hidden", "unused", "measure", "unknown"]
"""What happens to the truth of a part:

masks: the run learns from it, classes and masks; boxes: from classes and boxes, its masks are
hidden; hidden: the images are learnt from, their truth only judges; unused: the run takes neither;
measure: it tells how good the run is; unknown: only the code that trained knows.
"""


@dataclass(frozen=True, slots=True)
class Part:
    """Some images of a run, and the use it makes of their truth."""

    name: PartName
    use: Use
    dataset: Dataset
    never_annotated: int = 0
    """So many of the images have no truth that anybody knows; they hold no object here."""


def training_parts(config: RunConfig, everything: Dataset) -> list[Part]:
    """The training images of one of our own runs, as the engine parts them.

    Args:
        everything: all that the run may train on, images that never had labels too, with what is
            known of the truth; masks do not matter.
    """
    if not everything.images or not _tells_extra_apart(config.dataset):
        return [Part("train", "unknown", everything)]
    extra = [one for one in everything.images if _is_extra(one, config.dataset)]
    others = {one.image_id for one in extra}
    pool = everything.with_images([o for o in everything.images if o.image_id not in others])
    labeled, rest = _drawn(config, pool)
    is_boxed = isinstance(config.method, BoxMethodConfig)
    is_unused = is_boxed or isinstance(config.method, SupervisedConfig)
    parts = [Part("labeled", "boxes" if is_boxed else "masks", labeled)]
    if rest.images or extra:
        unlabeled = rest.with_images([*rest.images, *extra])
        parts.append(Part("unlabeled", "unused" if is_unused else "hidden", unlabeled, len(extra)))
    return parts


def _drawn(config: RunConfig, pool: Dataset) -> tuple[Dataset, Dataset]:
    """Labelled and unlabelled; box-supervised runs have boxes of every image."""
    if isinstance(config.method, BoxMethodConfig) or not pool.images:
        return pool, pool.with_images(())
    split = split_labeled(pool, config.split.labeled_fraction, config.split.seed)
    return apply_split(pool, split)


def _tells_extra_apart(config: ShapesConfig | CocoConfig) -> bool:
    """Whether images that never had labels can be told by their directory."""
    if isinstance(config, ShapesConfig) or config.unlabeled_images is None:
        return True
    return config.unlabeled_images.absolute() != config.train_images.absolute()


def _is_extra(image: ImageRecord, config: ShapesConfig | CocoConfig) -> bool:
    """Whether it lies in the directory of the images without labels, the inner one counting."""
    if isinstance(config, ShapesConfig) or config.unlabeled_images is None:
        return False
    extra, train = config.unlabeled_images.absolute(), config.train_images.absolute()
    if not image.path.is_relative_to(extra):
        return False
    return extra.is_relative_to(train) or not image.path.is_relative_to(train)
