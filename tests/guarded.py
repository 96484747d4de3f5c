"""Annotations whose masks nobody may read: what a box-supervised run is tested with."""

from __future__ import annotations

from dataclasses import replace

from lab.datasets.records import Annotation, Dataset


class Guarded(Annotation):
    def __getattribute__(self, name: str) -> object:
        if name == "mask":
            raise AssertionError("somebody looked at a mask")
        return super().__getattribute__(name)


def guarded(dataset: Dataset) -> Dataset:
    """The same dataset; reading a mask of it raises."""
    return dataset.with_images(
        [
            replace(image, annotations=tuple(_guard(one) for one in image.annotations))
            for image in dataset.images
        ]
    )


def _guard(one: Annotation) -> Guarded:
    return Guarded(one.annotation_id, one.label, one.box, one.area, one.mask, one.is_crowd)
