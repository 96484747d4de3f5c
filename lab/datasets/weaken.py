"""What a box-supervised run may see of a dataset: boxes and classes, never a mask."""

from __future__ import annotations

from dataclasses import replace

from lab.datasets.records import Annotation, Dataset, ImageRecord


def boxes_only(dataset: Dataset) -> Dataset:
    """The same images and boxes without masks; an area is that of the box.

    The masks of the given dataset are not even looked at. A mask's pixel count would tell how full
    its box is, so it goes too.
    """
    return dataset.with_images([_boxes_of(image) for image in dataset.images])


def _boxes_of(image: ImageRecord) -> ImageRecord:
    return replace(image, annotations=tuple(_box_of(one) for one in image.annotations))


def _box_of(annotation: Annotation) -> Annotation:
    x1, y1, x2, y2 = annotation.box
    return Annotation(
        annotation_id=annotation.annotation_id,
        label=annotation.label,
        box=annotation.box,
        area=(x2 - x1) * (y2 - y1),
        mask=None,
        is_crowd=annotation.is_crowd,
    )
