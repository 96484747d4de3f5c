"""What is around the labels of a dataset: evaluations, saved views, colours."""

from __future__ import annotations

import atexit
from collections.abc import Sequence

import fiftyone as fo
from fiftyone.core.odm import database as odm
from pymongo.errors import PyMongoError

from app.fiftyone.average_precision import field_curves
from app.fiftyone.colours import colour_scheme
from app.fiftyone.content import read_labels, read_versions
from app.fiftyone.database import Address
from app.fiftyone.dataset import Dataset, Filled, Progress, fill, quiet, recorded_request
from app.fiftyone.evaluation import register_evaluation
from app.fiftyone.mongod import NoDatabase
from app.fiftyone.request import LabelField, Request
from app.fiftyone.saved_views import forget_cut_outs, save_standing_views
from lab.store.queries import get_run, images_of
from lab.store.store import Store


def show(
    store: Store, request: Request, progress: Progress = quiet, *, anew: bool = False
) -> tuple[Filled, Dataset]:
    """Fill the dataset of a request and dress it; both again do only what is new.

    Raises:
        StoreError: no such run, step or predictions.
        NoDatabase: the server ended meanwhile.
    """
    try:
        return fill_and_dress(store, request, progress, anew)
    except PyMongoError as error:
        reason = str(error).split(",")[0]
        raise NoDatabase(f"MongoDB failed while the dataset was filled: {reason}") from None


def fill_and_dress(
    store: Store, request: Request, progress: Progress, anew: bool
) -> tuple[Filled, Dataset]:
    """`show`, with the errors of the server as they come."""
    filled = fill(store, request, progress, anew=anew)
    dataset: Dataset = fo.load_dataset(request.dataset)
    changed = [
        field
        for field in request.fields
        if filled.written[field.name] or not dataset.has_evaluation(field.eval_key)
    ]
    if changed:
        evaluate(store, request, dataset, changed)
        forget_cut_outs(dataset)
    save_standing_views(dataset, request)
    dataset.app_config.color_scheme = colour_scheme(recorded_request(dataset) or request)
    dataset.save()
    return filled, dataset


def evaluate(
    store: Store, request: Request, dataset: Dataset, fields: Sequence[LabelField]
) -> None:
    """Tell FiftyOne what is right and wrong with the labels of some fields, and their AP."""
    run = get_run(store, request.run_id)
    images = {image.image_id: image for image in images_of(store, run.run_id, request.split)}
    classes = [category.name for category in run.categories]
    for field in fields:
        versions = read_versions(store, field, images)
        curves = None
        if versions:
            content = read_labels(store, field, versions, images, run.categories)
            curves = field_curves(content, images, run.categories)
        register_evaluation(dataset, field, classes, curves)


def leave(address: Address) -> None:
    """Let FiftyOne remove the cut-outs of its views while the server is there.

    It would do so when the process ends, wait 30 s for a server that is stopped by then, and
    show a traceback.
    """
    clean_up = odm._delete_non_persistent_datasets_if_allowed
    atexit.unregister(clean_up)
    if address.answers():
        clean_up()
