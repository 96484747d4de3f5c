"""Things made up for tests: labels with plausible scores, and a small store full of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from lab.analysis.judge import build_judge
from lab.config import RunConfig, parse_run_config
from lab.datasets.records import (
    Annotation,
    BoxScores,
    Category,
    Dataset,
    DropRule,
    ErrorKind,
    Evaluation,
    ImageRecord,
    LabelSource,
    PseudoLabels,
    Rle,
)
from lab.store.recorder import StoreRecorder
from lab.store.run_state import FinalStatus
from lab.store.runs import add_event, attach_datasets, create_run
from lab.store.store import Store

CATEGORIES = (
    Category(1, "cat", "animal"),
    Category(2, "dog", "animal"),
    Category(3, "car", "vehicle"),
    Category(7, "bus", "vehicle"),
)
COLOURS = ((200, 80, 60), (180, 130, 60), (60, 120, 200), (60, 180, 160))
"""BGR per class; look-alikes look alike."""
CLASS_THRESHOLD = 0.7
MASK_THRESHOLD = 0.8


def rle(mask: NDArray[np.bool_]) -> Rle:
    """(H, W) bool -> compressed RLE."""
    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return Rle(mask.shape[0], mask.shape[1], encoded["counts"])


def ellipse(side: int, box: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    """(side, side) bool: the ellipse that fills the box."""
    x1, y1, x2, y2 = box
    y, x = np.mgrid[:side, :side] + 0.5
    across = (x - (x1 + x2) / 2) / max(1.0, (x2 - x1) / 2)
    down = (y - (y1 + y2) / 2) / max(1.0, (y2 - y1) / 2)
    return across**2 + down**2 <= 1


def pseudo_labels(
    count: int = 5,
    *,
    image_id: int = 1,
    source: LabelSource = LabelSource.PSEUDO,
    seed: int = 0,
    side: int = 64,
    judged: bool = True,
) -> PseudoLabels:
    """`count` random candidates with consistent columns; two thresholds decide what is kept.

    Their kinds are made up, too: two truths of the image are always missed.
    """
    rng = np.random.default_rng([seed, image_id, count])
    corners = rng.uniform(0, side * 0.6, (count, 2))
    boxes = np.hstack([corners, corners + rng.uniform(6, side * 0.4, (count, 2))])
    classes = rng.integers(0, len(CATEGORIES), count)
    labels = candidates(rng, image_id, source, side, boxes, classes, rng.beta(3, 1.5, (2, count)))
    if not judged:
        return labels
    kinds = rng.choice(np.arange(1, 6), count, p=[0.5, 0.2, 0.1, 0.05, 0.15])
    matched, right = kinds != ErrorKind.BG, kinds == ErrorKind.COR
    duplicates = right & (rng.random(count) < 0.1)
    found = int((labels.kept & right & ~duplicates).sum())
    return replace(
        labels,
        kinds=kinds,
        true_ious=np.where(matched, np.where(right, 0.8, 0.3), np.nan).astype(np.float32),
        gt_ids=np.where(matched, 100 * image_id + np.arange(count), -1),
        duplicates=duplicates,
        num_truths=found + 2,
        missed=2,
    )


def box_scores(
    labels: PseudoLabels,
    *,
    target_ids: NDArray[np.int64] | None = None,
    target_ious: NDArray[np.float32] | None = None,
    single_ious: NDArray[np.float32] | None = None,
    seed: int = 0,
) -> BoxScores:
    """Scores as a method has them that ranks boxes and pixels; those of depth and maps are NaN."""
    rng = np.random.default_rng([seed, labels.image_id, len(labels)])
    box, pixel = rng.uniform(0.3, 1, (2, len(labels))).astype(np.float32)
    unknown = np.full(len(labels), np.nan, np.float32)
    effective = rng.integers(1, 6, len(labels)).astype(np.float32)
    return BoxScores(
        target_ids=2**40 + np.arange(len(labels)) if target_ids is None else target_ids,
        num_candidates=effective + 2,
        num_effective=effective,
        box_score=box,
        pixel_score=pixel,
        mask_score=np.sqrt(box * pixel),
        depth_score=unknown,
        match_score=unknown,
        semantic_score=unknown,
        instance_score=unknown,
        target_ious=target_ious,
        single_ious=single_ious,
    )


def candidates(
    rng: np.random.Generator,
    image_id: int,
    source: LabelSource,
    side: int,
    boxes: NDArray[np.float64],
    classes: NDArray[np.int64],
    qualities: NDArray[np.float64],
) -> PseudoLabels:
    """Elliptic candidates, not judged. boxes (N, 4), classes (N,), qualities (2, N)."""
    count = len(boxes)
    masks = [ellipse(side, (x1, y1, x2, y2)) for x1, y1, x2, y2 in boxes]
    corrected = rng.random(count) < 0.1
    clip = np.where(rng.random((2, count)) < 0.3, np.nan, rng.random((2, count)))
    return PseudoLabels(
        image_id=image_id,
        source=source,
        boxes=boxes.astype(np.float32),
        labels=classes,
        labels_before=np.where(corrected, (classes + 1) % len(CATEGORIES), classes),
        **decide(qualities[0], qualities[1]),
        masks=tuple(rle(mask) for mask in masks),
        areas=np.array([mask.sum() for mask in masks], np.float32),
        teacher_before=qualities[0].astype(np.float32),
        teacher_after=(qualities[0] * 0.9).astype(np.float32),
        clip_before=clip[0].astype(np.float32),
        clip_after=clip[1].astype(np.float32),
        uncertainty=(0.5 * rng.random(count)).astype(np.float32),
    )


def decide(class_quality: NDArray, mask_quality: NDArray) -> dict[str, NDArray]:
    """The columns that follow from two thresholds: qualities, score, kept, rules, weights."""
    poor_class = class_quality < CLASS_THRESHOLD
    poor_mask = ~poor_class & (mask_quality < MASK_THRESHOLD)
    kept = ~poor_class & ~poor_mask
    rules = np.select(
        [poor_class, poor_mask], [DropRule.CLASS_QUALITY, DropRule.MASK_QUALITY], DropRule.KEPT
    )
    values = np.select([poor_class, poor_mask], [CLASS_THRESHOLD, MASK_THRESHOLD], np.nan)
    return {
        "class_quality": class_quality.astype(np.float32),
        "mask_quality": mask_quality.astype(np.float32),
        "score": (class_quality * mask_quality).astype(np.float32),
        "kept": kept,
        "rules": rules.astype(np.int64),
        "rule_values": values.astype(np.float32),
        "weights": kept.astype(np.float32),
    }


def filled_store(
    root: Path, *, steps: int = 60, num_images: int = 12, side: int = 96, seed: int = 0
) -> Store:
    """An open store as a morning's work leaves it, made through the real recorder in seconds.

    Three runs on pictures that lie on disk: "baseline" (supervised, finished), "teacher" (pl_dc,
    finished, with labels, probes, a threshold event) and its fork "teacher-strict" (stopped).
    """
    store = Store.open(root)
    train = painted_dataset(root / "pictures" / "train", "painted-train", num_images, side, seed)
    val = painted_dataset(root / "pictures" / "val", "painted-val", 4, side, seed + 1)
    baseline = create_run(store, example_config("baseline", "supervised", steps))
    _record_run(store, baseline, train, val, steps, labelled_only=True)
    teacher = create_run(store, example_config("teacher", "pl_dc", steps))
    _record_run(store, teacher, train, val, steps)
    add_event(store, teacher, steps // 2, "thresholds", {"class_threshold": 0.8})
    fork = create_run(
        store,
        example_config("teacher-strict", "pl_dc", steps),
        parent_run_id=teacher,
        parent_step=steps // 2,
    )
    _record_run(store, fork, train, val, steps // 2, status="stopped")
    return store


def example_config(name: str, method: str, steps: int) -> RunConfig:
    """A small config of a method, with thresholds that fit `decide`."""
    method_tree: dict[str, object] = {"name": method}
    if method == "pl_dc":
        method_tree |= {
            "burn_in_steps": 0,
            "class_threshold": CLASS_THRESHOLD,
            "mask_threshold": MASK_THRESHOLD,
        }
    schedule = {"max_steps": steps, "eval_every": 10, "checkpoint_every": 20}
    return parse_run_config({"name": name, "method": method_tree, "schedule": schedule})


def painted_dataset(directory: Path, name: str, count: int, side: int, seed: int) -> Dataset:
    """`count` PNG pictures of coloured ellipses on noise, with their masks as truth."""
    directory.mkdir(parents=True, exist_ok=True)
    images = tuple(
        _painted_image(directory, image_id, side, np.random.default_rng([seed, image_id]))
        for image_id in range(1, count + 1)
    )
    return Dataset(name, CATEGORIES, images)


def _painted_image(
    directory: Path, image_id: int, side: int, rng: np.random.Generator
) -> ImageRecord:
    picture = rng.integers(60, 120, (side, side, 3), np.uint8)
    corners = rng.uniform(0, side * 0.6, (rng.integers(1, 5), 2))
    boxes = np.hstack([corners, corners + rng.uniform(side * 0.15, side * 0.4, corners.shape)])
    truths: list[Annotation] = []
    free = np.ones((side, side), np.bool_)
    for x1, y1, x2, y2 in boxes.tolist():
        mask = ellipse(side, (x1, y1, x2, y2)) & free
        if mask.sum() < 20:
            continue
        free &= ~mask
        label = int(rng.integers(0, len(CATEGORIES)))
        picture[mask] = np.array(COLOURS[label]) + rng.integers(-15, 15, (int(mask.sum()), 3))
        truths.append(
            Annotation(
                annotation_id=100 * image_id + len(truths),
                label=label,
                box=(x1, y1, x2, y2),
                area=float(mask.sum()),
                mask=rle(mask),
            )
        )
    path = directory / f"{image_id:04}.png"
    encoded = cv2.imencode(".png", cv2.GaussianBlur(picture, (3, 3), 0))[1]
    path.write_bytes(encoded.tobytes())  # cv2.imwrite fails on non-ASCII paths elsewhere
    return ImageRecord(image_id, path, side, side, tuple(truths))


def _record_run(
    store: Store,
    run_id: str,
    train: Dataset,
    val: Dataset,
    steps: int,
    *,
    status: FinalStatus = "finished",
    labelled_only: bool = False,
) -> None:
    attach_datasets(store, run_id, train, val)
    checkpoints = store.run_directory(run_id) / "checkpoints"
    checkpoints.mkdir(parents=True)
    rng = np.random.default_rng(len(run_id))
    with StoreRecorder(store, run_id, judge=build_judge(train)) as recorder:
        for step in range(steps):
            progress = step / steps
            recorder.scalars(step, _training_scalars(rng, progress, unsup=not labelled_only))
            chosen = [train.images[(2 * step + k) % len(train.images)] for k in (0, 1)]
            if not labelled_only:
                labels = [guesses(rng, image, LabelSource.PSEUDO, progress) for image in chosen]
                recorder.pseudo_labels(step, labels)
            if step % 10 == 0 and not labelled_only:
                probes = (LabelSource.PROBE_TEACHER, LabelSource.PROBE_STUDENT)
                recorder.pseudo_labels(
                    step,
                    [
                        guesses(rng, image, s, progress)
                        for s in probes
                        for image in train.images[:3]
                    ],
                )
            if (step + 1) % 10 == 0:
                for model in ("student",) if labelled_only else ("student", "teacher"):
                    recorder.evaluation(step + 1, example_evaluation(model, progress))
            if (step + 1) % 20 == 0:
                path = checkpoints / f"step-{step + 1}.pt"
                path.write_bytes(b"not a real checkpoint")
                recorder.checkpoint(step + 1, path)
        (store.run_directory(run_id) / "log.txt").write_text(f"{steps} steps recorded\n")
        recorder.finish(status)


def guesses(
    rng: np.random.Generator, image: ImageRecord, source: LabelSource, progress: float
) -> PseudoLabels:
    """What a teacher might say of an image: truths found more or less well, and some fancies.

    `progress` from 0 to 1 makes it better.
    """
    truths = [truth for truth in image.annotations for _ in range(rng.integers(1, 3))]
    true_boxes = np.array([truth.box for truth in truths]).reshape(-1, 4)
    true_classes = np.array([truth.label for truth in truths], np.int64)
    blur = (0.12 - 0.08 * progress) * image.width * rng.random((len(truths), 1))
    boxes = true_boxes + rng.normal(0, 1, true_boxes.shape) * blur
    confused = rng.random(len(truths)) < 0.3 - 0.2 * progress
    classes = np.where(confused, true_classes ^ rng.integers(1, 4, len(truths)), true_classes)
    corners = rng.uniform(0, image.width * 0.7, (rng.integers(0, 4), 2))
    fancies = np.hstack([corners, corners + rng.uniform(8, 24, corners.shape)])
    class_quality = 0.9 - 0.4 * confused + 0.1 * progress - 0.2 * rng.random(len(truths))
    mask_quality = 0.98 - 0.04 * blur[:, 0] - 0.1 * rng.random(len(truths))
    qualities = np.hstack(
        [np.stack([class_quality, mask_quality]), rng.uniform(0.05, 0.8, (2, len(fancies)))]
    )
    boxes = np.vstack([boxes, fancies]).clip(0, image.width)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 4).clip(max=image.width)
    boxes[:, :2] = np.minimum(boxes[:, :2], boxes[:, 2:] - 4)
    classes = np.hstack([classes, rng.integers(0, len(CATEGORIES), len(fancies))])
    return candidates(
        rng, image.image_id, source, image.width, boxes, classes, qualities.clip(0.05, 1)
    )


def _training_scalars(
    rng: np.random.Generator, progress: float, *, unsup: bool
) -> dict[str, float]:
    sup = 2.0 * np.exp(-2 * progress) + 0.1 * rng.random()
    parts = {"loss/sup/mask": 0.6 * sup, "loss/sup/class": 0.4 * sup, "lr": 1e-3, "time/step": 0.2}
    if unsup:
        parts["loss/unsup/mask"] = 0.5 + 0.1 * rng.random()
    total = sum(value for name, value in parts.items() if name.startswith("loss/"))
    return {name: float(value) for name, value in {"loss/total": total, **parts}.items()}


def example_evaluation(model: str, progress: float) -> Evaluation:
    """What an evaluation may say of a teacher or student; `progress` is 0 to 1."""
    ap = 12 + 20 * progress + (2 if model == "teacher" else 0)
    sizes = {"APs": float("nan"), "APm": ap - 3, "APl": ap + 6}
    return Evaluation(
        split="val",
        model=model,
        metrics={"AP": ap, "AP50": ap + 18, "AP75": ap - 4, **sizes},
        per_class={category.name: ap + 2 * i - 3 for i, category in enumerate(CATEGORIES)},
        kinds={"Cor": 40, "Loc": 12, "Sim": 6, "Oth": 3, "BG": 9, "Missed": 14, "Duplicate": 2},
    )
