"""A FiftyOne dataset of a run: made, filled, and brought up to date."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import fiftyone as fo
from pymongo import UpdateOne
from pymongo.collection import Collection

from app.fiftyone.attributes import TRUTH_TYPES, Type, label_types
from app.fiftyone.content import FieldContent, Version, read_labels, read_versions
from app.fiftyone.documents import Document, ImageDocuments, counts, sample_id, truth_values
from app.fiftyone.request import GROUND_TRUTH, LabelField, Request
from lab.datasets.records import Category, ImageRecord
from lab.store.queries import get_run, images_of
from lab.store.store import Store

INFO = "seglab"
"""Where `dataset.info` says what the dataset shows."""
FORMAT = 3
"""Of the documents; a dataset of another format is made anew."""
BATCH = 250
TYPES: Mapping[Type, type[fo.Field]] = {
    "text": fo.StringField,
    "number": fo.FloatField,
    "count": fo.IntField,
    "flag": fo.BooleanField,
}
Dataset = Any
"""A `fiftyone.Dataset`; its own annotations are those of mongoengine's fields, not of values."""
Progress = Callable[[int, int, str], None]
"""Told (done, total, of what)."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What an update did."""

    dataset: str
    images: int
    new_images: int
    labels: Mapping[str, int]
    """By field, those in the dataset now."""
    written: Mapping[str, int]
    """By field, images whose labels were new."""


def quiet(done: int, total: int, what: str) -> None:
    """Progress for nobody."""


def fill(
    store: Store, request: Request, progress: Progress = quiet, *, anew: bool = False
) -> Filled:
    """Make the dataset hold what the store holds now; what it has already is left as it is.

    Raises:
        StoreError: no such labels, or a run without images.
    """
    run = get_run(store, request.run_id)
    images = {image.image_id: image for image in images_of(store, run.run_id, request.split)}
    dataset = open_dataset(request, anew)
    filler = Filler(store, dataset, request, images, run.categories)
    wanted = {field: read_versions(store, field, images) for field in request.fields}
    shown = sorted({image for versions in wanted.values() for image in versions} & images.keys())
    new_images = filler.add_images(shown, progress)
    before = recorded_request(dataset)
    if before is not None and before.dashboard != request.dashboard:
        filler.link_images()
    written = {
        field.name: filler.update_field(field, versions, progress)
        for field, versions in wanted.items()
    }
    remember(dataset, request)
    dataset.reload()
    return Filled(
        dataset=dataset.name,
        images=len(shown),
        new_images=new_images,
        labels={one.name: dataset.count(f"{one.name}.detections") for one in request.fields},
        written=written,
    )


def open_dataset(request: Request, anew: bool = False) -> Dataset:
    """The dataset of the request, with its ground truth declared; new when there is none."""
    if fo.dataset_exists(request.dataset):
        dataset: Dataset = fo.load_dataset(request.dataset)
        if not anew and dataset.info.get(INFO, {}).get("format") == FORMAT:
            return dataset
        fo.delete_dataset(request.dataset)
    dataset = fo.Dataset(request.dataset, persistent=True)
    dataset.media_type = "image"
    own = {"image_id": fo.IntField(), "lab": fo.StringField()}
    declare(dataset, own | label_fields(GROUND_TRUTH, TRUTH_TYPES))
    return dataset


def declare(dataset: Dataset, fields: Mapping[str, fo.Field]) -> None:
    """Tell the dataset of fields by their path, parents first, in as few steps as it can.

    FiftyOne's `add_sample_field` takes a fifth of a second for each, so they are merged at once.
    """
    known = dataset.get_field_schema(flat=True)
    new = {path: field for path, field in fields.items() if path not in known}
    parents = {path: field for path, field in new.items() if "." not in path}
    if parents:
        dataset._merge_sample_field_schema(parents)
    if len(new) > len(parents):
        dataset._merge_sample_field_schema(
            {path: field for path, field in new.items() if path not in parents}
        )


def label_fields(name: str, types: Mapping[str, Type]) -> dict[str, fo.Field]:
    """A field of labels with these attributes, by path."""
    parent = fo.EmbeddedDocumentField(fo.Detections)
    attributes = {
        f"{name}.detections.{attribute}": TYPES[type]() for attribute, type in types.items()
    }
    return {name: parent, **attributes}


def remember(dataset: Dataset, request: Request) -> None:
    """Write into the dataset what it shows; fields of earlier requests stay in it, behind these.

    What else is written down there may be of another process.
    """
    dataset.reload()
    told = dataset.info.get(INFO, {})
    before = told.get("request", {"fields": []})
    names = {field.name for field in request.fields}
    older = [one for one in before["fields"] if one["name"] not in names]
    info = request.as_info()
    info["fields"] = [*map(dict, info["fields"]), *older]
    dataset.info[INFO] = {**told, "format": FORMAT, "request": info}
    dataset.save()


def bring_forward(dataset: Dataset, field: str) -> None:
    """Put a field before the others: it was asked for last, so the panel opens on it."""
    request = recorded_request(dataset)
    if request is not None and request.fields[0].name != field:
        fields = sorted(request.fields, key=lambda one: one.name != field)
        remember(dataset, replace(request, fields=tuple(fields)))


def recorded_request(dataset: Dataset) -> Request | None:
    """What a dataset of ours shows; None for a dataset of somebody else's."""
    info = dataset.info.get(INFO)
    return None if info is None else Request.from_info(info["request"])


class Filler:
    """Writes the images of one request and their labels."""

    def __init__(
        self,
        store: Store,
        dataset: Dataset,
        request: Request,
        images: Mapping[int, ImageRecord],
        categories: Sequence[Category],
    ) -> None:
        self.store = store
        self.dataset = dataset
        self.request = request
        self.images = images
        self.categories = categories
        self.documents = ImageDocuments(request, categories)
        self.collection: Collection[Document] = dataset._sample_collection

    def add_images(self, image_ids: Sequence[int], progress: Progress) -> int:
        """Write the images that are not there yet, with their truth; how many these were."""
        there = {one["image_id"] for one in self.collection.find({}, {"image_id": 1})}
        new = [self.images[one] for one in image_ids if one not in there]
        dataset_id = self.dataset._doc.id
        for done, batch in batches(new):
            self.collection.insert_many(self.documents.samples(batch, dataset_id))
            progress(done, len(new), "images")
        return len(new)

    def link_images(self) -> None:
        """Let every image lead to the dashboard where that is now."""
        link = {"$concat": [self.documents.page, {"$toString": "$image_id"}]}
        self.collection.update_many({}, [{"$set": {"lab": link}}])

    def update_field(
        self, field: LabelField, versions: Mapping[int, Version], progress: Progress
    ) -> int:
        """Write the labels that are new, take away those that are gone; on how many images."""
        there = self.versions_there(field)
        new = {
            image: version
            for image, version in versions.items()
            if image in self.images and there.get(image) != version
        }
        gone = [image for image in there if image not in versions]
        content = self.read(field, new)
        self.declare(field, content)
        if gone:
            self.clear(field, gone)
        for done, batch in batches([self.images[one] for one in new]):
            self.collection.bulk_write(self.updates(content, batch), ordered=False)
            progress(done, len(new), field.name)
        return len(new) + len(gone)

    def read(self, field: LabelField, versions: Mapping[int, Version]) -> FieldContent | None:
        if not versions:
            return None
        return read_labels(self.store, field, versions, self.images, self.categories)

    def versions_there(self, field: LabelField) -> dict[int, Version]:
        """What the dataset has of the field, by image id."""
        wanted = {"image_id": 1, f"{field.name}.step": 1, f"{field.name}.version": 1}
        found = self.collection.find({field.name: {"$ne": None}}, wanted)
        return {
            one["image_id"]: Version(one[field.name]["step"], one[field.name]["version"])
            for one in found
        }

    def declare(self, field: LabelField, content: FieldContent | None) -> None:
        """Tell the dataset of the field, its attributes and what its evaluation adds."""
        key = field.eval_key
        own: dict[str, Type] = {key: "text", f"{key}_id": "text", f"{key}_iou": "number"}
        types = {} if content is None else label_types(content.columns)
        on_samples = (f"{key}_tp", f"{key}_fp", f"{key}_fn")
        declare(
            self.dataset,
            label_fields(field.name, types | own)
            | label_fields(GROUND_TRUTH, own)
            | {name: fo.IntField() for name in on_samples}
            | {f"{field.name}.{name}": fo.IntField() for name in ("step", "version")},
        )

    def updates(
        self, content: FieldContent | None, images: Sequence[ImageRecord]
    ) -> list[UpdateOne]:
        """One per image: its labels, and what they mean for its truth."""
        if content is None:
            return []
        found = self.documents.labels(content, images)
        return [
            self.update(content.field, image, labels, matches)
            for image, (labels, matches) in zip(images, found, strict=True)
        ]

    def update(
        self, field: LabelField, image: ImageRecord, labels: Document, matches: Any
    ) -> UpdateOne:
        values: Document = {field.name: labels, "last_modified_at": datetime.utcnow()}
        values |= counts(matches, field)
        judged = truth_values(image, matches, labels, field)
        for place in range(len(image.annotations)):
            for suffix in ("", "_id", "_iou"):
                name = f"{field.eval_key}{suffix}"
                value = judged.get(place, {}).get(name)
                values[f"{GROUND_TRUTH}.detections.{place}.{name}"] = value
        return UpdateOne({"_id": sample_id(self.request.dataset, image.image_id)}, {"$set": values})

    def clear(self, field: LabelField, image_ids: Iterable[int]) -> None:
        """Take the field's labels away where the store has none any more."""
        ids = [sample_id(self.request.dataset, one) for one in image_ids]
        self.collection.update_many({"_id": {"$in": ids}}, {"$set": {field.name: None}})


def batches(images: Sequence[ImageRecord]) -> Iterable[tuple[int, Sequence[ImageRecord]]]:
    """(how many are done after it, the batch)."""
    starts = itertools.count(0, BATCH)
    for start in itertools.takewhile(lambda one: one < len(images), starts):
        batch = images[start : start + BATCH]
        yield start + len(batch), batch
