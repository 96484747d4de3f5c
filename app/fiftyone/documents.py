"""Images and labels as FiftyOne's documents in MongoDB, built straight from columns. Pure.

FiftyOne's own objects check and copy every attribute of every label, which takes most of an
import. What is built here is exactly what they would have written; a test compares the two.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId

from app.fiftyone.attributes import label_values
from app.fiftyone.content import FieldContent
from app.fiftyone.masks import Cutout, cutouts
from app.fiftyone.matching import ImageMatches, Match, kept_ious, match_image
from app.fiftyone.request import GROUND_TRUTH, LabelField, Request
from lab.datasets.records import Annotation, Category, ImageRecord

Document = dict[str, Any]
WITHOUT_BOX = (0.0, 0.0, 0.0, 0.0)


def object_id(space: str, number: int) -> ObjectId:
    """The id of number `number` in a name space: the same every time, so that links last."""
    prefix = hashlib.sha256(space.encode()).digest()[:4]
    return ObjectId(prefix + number.to_bytes(8, "big", signed=True))


def sample_id(dataset: str, image_id: int) -> ObjectId:
    """Of an image in a dataset of ours; pages link to it by this."""
    return object_id(f"sample {dataset}", image_id)


class ImageDocuments:
    """Builds the documents of one request's images."""

    def __init__(self, request: Request, categories: Sequence[Category]) -> None:
        self.request = request
        self.categories = categories
        self.names = [category.name for category in categories]

    @property
    def page(self) -> str:
        """Address of an image on the dashboard, but for its id at the end."""
        return f"{self.request.dashboard}/labels?run={self.request.run_id}&span=0&image="

    def samples(self, images: Sequence[ImageRecord], dataset_id: ObjectId) -> list[Document]:
        """One document per image with its ground truth, and no labels yet."""
        masks = [one.mask for image in images for one in image.annotations if one.mask is not None]
        cut = iter(cutouts(masks))
        now = datetime.utcnow()
        return [self._sample(image, cut, dataset_id, now) for image in images]

    def labels(
        self, content: FieldContent, images: Sequence[ImageRecord]
    ) -> list[tuple[Document, ImageMatches]]:
        """Each image's labels as one `Detections` document, and how they match the truth."""
        rows = [content.rows.get(image.image_id, slice(0, 0)) for image in images]
        masks = [content.row_masks(one) for one in rows]
        cut = iter(cutouts([mask for found in masks for mask in found if mask is not None]))
        truth_classes = {
            one.annotation_id: one.label for image in images for one in image.annotations
        }
        found: list[tuple[Document, ImageMatches]] = []
        for image, where, own in zip(images, rows, masks, strict=True):
            columns = {name: values[where] for name, values in content.columns.items()}
            values = label_values(columns, self.categories, truth_classes)
            matches = _match(content, image, columns, own)
            placed = [None if mask is None else next(cut) for mask in own]
            documents = self._label_documents(content.field, image, columns, values, placed)
            _add_matches(documents, matches, content.field)
            version = content.versions[image.image_id]
            found.append((_detections(documents, version.step, version.number), matches))
        return found

    def _sample(
        self, image: ImageRecord, cut: Any, dataset_id: ObjectId, now: datetime
    ) -> Document:
        truths = [
            self._truth(one, image, next(cut) if one.mask is not None else None)
            for one in image.annotations
        ]
        return {
            "_id": sample_id(self.request.dataset, image.image_id),
            "filepath": str(image.path),
            "tags": [self.request.split],
            "metadata": {"_cls": "ImageMetadata", "width": image.width, "height": image.height},
            "_media_type": "image",
            "_rand": random.Random(image.image_id).random(),
            "_dataset_id": dataset_id,
            "created_at": now,
            "last_modified_at": now,
            "image_id": image.image_id,
            "lab": f"{self.page}{image.image_id}",
            GROUND_TRUTH: {"_cls": "Detections", "detections": truths},
        }

    def _truth(self, one: Annotation, image: ImageRecord, cut: Cutout | None) -> Document:
        document = _detection(
            object_id(GROUND_TRUTH, one.annotation_id), self.names[one.label], one.box, image, cut
        )
        return document | {
            "annotation_id": one.annotation_id,
            "supercategory": self.categories[one.label].supercategory,
            "area": one.area,
            "iscrowd": one.is_crowd,
        }

    def _label_documents(
        self,
        field: LabelField,
        image: ImageRecord,
        columns: Mapping[str, Any],
        values: Mapping[str, Sequence[Any]],
        cut: Sequence[Cutout | None],
    ) -> list[Document]:
        classes, scores = columns["label"].tolist(), columns["score"].tolist()
        ids = columns["label_id"].tolist()
        boxes = zip(*(columns[side].tolist() for side in ("x1", "y1", "x2", "y2")), strict=True)
        rows = zip(*values.values(), strict=True)
        names = tuple(values)
        return [
            _detection(object_id(field.name, number), self.names[label], box, image, one)
            | {"confidence": score}
            | {name: value for name, value in zip(names, row, strict=True) if value is not None}
            for label, score, number, box, one, row in zip(
                classes, scores, ids, boxes, cut, rows, strict=True
            )
        ]


def _detections(documents: list[Document], step: int, number: int) -> Document:
    """`step` and `version` say which recording this is: an update looks at them."""
    return {"_cls": "Detections", "detections": documents, "step": step, "version": number}


def _detection(
    label_id: ObjectId,
    name: str,
    box: tuple[float, float, float, float],
    image: ImageRecord,
    cut: Cutout | None,
) -> Document:
    """With a mask the box is the mask's: FiftyOne draws a mask into its box."""
    if cut is not None and cut.box != WITHOUT_BOX:
        box = cut.box
    x1, y1, x2, y2 = box
    width, height = image.width, image.height
    document: Document = {
        "_id": label_id,
        "_cls": "Detection",
        "attributes": {},
        "tags": [],
        "label": name,
        "bounding_box": [x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height],
    }
    if cut is not None and cut.box != WITHOUT_BOX:
        document["mask"] = cut.packed
    return document


def _match(
    content: FieldContent, image: ImageRecord, columns: Mapping[str, Any], masks: Sequence[Any]
) -> ImageMatches:
    """None of an image whose truth is not known. Masks that the store let go need not be there."""
    kept, kinds = columns["kept"].astype(bool), columns["kind"].astype("int64")
    truth = content.truth_of(image)
    if truth is None:
        return ImageMatches({}, {})
    chosen = [mask for mask, one in zip(masks, kept.tolist(), strict=True) if one]
    ious = kept_ious(chosen, kinds[kept], columns["gt_id"][kept], columns["true_iou"][kept], truth)
    if ious is None:
        return ImageMatches({}, {})
    classes = columns["label"].astype("int64")
    return match_image(ious, classes, columns["score"], kept, kinds, truth)


def _add_matches(documents: list[Document], matches: ImageMatches, field: LabelField) -> None:
    for place, match in matches.labels.items():
        truth = None if match.partner < 0 else object_id(GROUND_TRUTH, match.partner)
        documents[place] |= _verdict(field, match, truth)


def _verdict(field: LabelField, match: Match, partner: ObjectId | None) -> Document:
    """What FiftyOne writes on a label or a truth that was evaluated."""
    key = field.eval_key
    if partner is None:
        return {key: match.verdict}
    return {key: match.verdict, f"{key}_id": str(partner), f"{key}_iou": match.iou}


def truth_values(
    image: ImageRecord, matches: ImageMatches, detections: Document, field: LabelField
) -> dict[int, Document]:
    """By place among the image's truths: what the evaluation of a field says of each."""
    found: dict[int, Document] = {}
    for place, one in enumerate(image.annotations):
        match = matches.truths.get(one.annotation_id)
        if match is not None:
            labels = detections["detections"]
            partner = None if match.partner < 0 else labels[match.partner]["_id"]
            found[place] = _verdict(field, match, partner)
    return found


def counts(matches: ImageMatches, field: LabelField) -> Document:
    """Of a sample: how many tp, fp and fn an evaluation finds in it."""
    verdicts = [match.verdict for match in matches.labels.values()]
    missed = sum(match.verdict == "fn" for match in matches.truths.values())
    return {
        f"{field.eval_key}_tp": verdicts.count("tp"),
        f"{field.eval_key}_fp": verdicts.count("fp"),
        f"{field.eval_key}_fn": missed,
    }
