"""From a teacher's predictions to targets for the student, with every candidate accounted for.

    survey -> judge -> correct_classes -> kept_rows -> pseudo_targets

Every step is a function from Candidates to Candidates, so that what gets recorded is exactly
what the student was taught. Only `kept_rows` waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from engine import ranks
from engine.instances import Predictions, Targets
from engine.interfaces import Candidates, Segmenter, UnlabeledBatch, ViewGeometry
from engine.pseudo_labels.filter import Verdict
from engine.pseudo_labels.fuse import CategoryCorrector, Fusion, teacher_probabilities
from engine.pseudo_labels.quality import mask_quality, mean_uncertainty, pixel_uncertainty
from lab.datasets.records import DropRule, LabelSource


@torch.no_grad()
def survey_batch(teacher: Segmenter, batch: UnlabeledBatch) -> list[Candidates]:
    """What the teacher, in evaluation mode, finds in the weak views."""
    if teacher.module.training:
        teacher.module.eval()
    found = teacher.predict(batch.weak, one_class_each=True)
    views = zip(found, batch.geometry, batch.image_ids, strict=True)
    return [survey(*view, source=LabelSource.PSEUDO) for view in views]


@torch.no_grad()
def survey(
    predictions: Predictions, geometry: ViewGeometry, image_id: int, source: LabelSource
) -> Candidates:
    """Candidates with their scores, not judged yet: all kept, no class corrected."""
    predictions = confine(predictions, geometry)
    quality = mask_quality(predictions.mask_logits)
    teacher = _probability(teacher_probabilities(predictions.class_logits), predictions.labels)
    unknown = torch.full_like(teacher, torch.nan)
    return Candidates(
        image_id=image_id,
        source=source,
        geometry=geometry,
        predictions=predictions,
        labels=predictions.labels,
        mask_quality=quality,
        kept=torch.ones_like(predictions.labels, dtype=torch.bool),
        rules=torch.full_like(predictions.labels, DropRule.KEPT),
        rule_values=unknown,
        teacher_before=teacher,
        teacher_after=teacher,
        clip_before=unknown,
        clip_after=unknown,
        fused=unknown,
        uncertainty=mean_uncertainty(quality),
        weights=torch.ones_like(teacher),
    )


def confine(predictions: Predictions, geometry: ViewGeometry) -> Predictions:
    """Padding holds nothing: there masks are surely background, and boxes end at its edge."""
    height, width = geometry.height, geometry.width
    columns = predictions.boxes[:, 0::2].clamp(0, width)
    rows = predictions.boxes[:, 1::2].clamp(0, height)
    boxes = torch.stack([columns, rows], dim=2).flatten(1)
    logits = predictions.mask_logits
    if logits.shape[1:] != (height, width):
        shown = torch.zeros(logits.shape[1:], dtype=torch.bool, device=logits.device)
        shown[:height, :width] = True
        logits = logits.masked_fill(~shown, -torch.inf)
    return replace(predictions, boxes=boxes, mask_logits=logits)


def judge(candidates: Candidates, verdict: Verdict) -> Candidates:
    """The same candidates with their fate. A kept one counts fully, a dropped one not at all."""
    return replace(
        candidates,
        kept=verdict.kept,
        rules=verdict.rules,
        rule_values=verdict.values,
        weights=verdict.kept.float(),
    )


def kept_rows(candidates: Sequence[Candidates]) -> list[Tensor]:
    """Per image the indices of the kept candidates, in their order. The one wait per step."""
    counts = torch.stack([c.kept.sum() for c in candidates]).tolist()
    return [
        c.kept.int().argsort(descending=True, stable=True)[:count]
        for c, count in zip(candidates, counts, strict=True)
    ]


@torch.no_grad()
def correct_classes(
    candidates: Sequence[Candidates],
    rows: Sequence[Tensor],
    images: Tensor,
    corrector: CategoryCorrector,
    *,
    fuse: Fusion,
    max_patches: int,
) -> list[Candidates]:
    """PL-DC Eqs. 6-8: ask CLIP about the kept candidates, fuse, take the best class.

    Scores and verdicts stay as they were: nothing is filtered again and nothing is dropped when
    the two disagree. What CLIP cannot see, or has no word for, keeps the teacher's class. The
    lowest class wins a tie.

    Args:
        candidates: one per image of the batch.
        rows: the kept indices of each.
        images: (B, 3, H, W) in [0, 1], the views that the masks belong to.
        corrector: the second opinion.
        fuse: how both opinions become one, Eq. 7.
        max_patches: most objects per image that are asked about, best class quality first.
    """
    asked = [
        _best(r, c.predictions.class_quality, max_patches)
        for c, r in zip(candidates, rows, strict=True)
    ]
    masks = [c.predictions.mask_logits[r] > 0 for c, r in zip(candidates, asked, strict=True)]
    answers = corrector.probabilities(images, masks).split([len(r) for r in asked])
    return [
        _correct(c, r, clip, fuse) for c, r, clip in zip(candidates, asked, answers, strict=True)
    ]


def pseudo_targets(candidates: Candidates, rows: Tensor, *, weigh_pixels: bool) -> Targets:
    """The kept rows as truth for the student; PL-DC Eq. 11's pixel weights 1 - u on request."""
    logits = candidates.predictions.mask_logits[rows]
    return Targets(
        boxes=candidates.predictions.boxes[rows],
        labels=candidates.labels[rows],
        masks=logits > 0,
        pixel_weight=1 - pixel_uncertainty(logits) if weigh_pixels else None,
    )


def dropped_boxes(candidates: Candidates) -> Tensor:
    """(N, 4) boxes of the dropped candidates; kept ones have no area. No wait for the device."""
    return candidates.predictions.boxes.masked_fill(candidates.kept[:, None], 0)


def weighted(losses: dict[str, Tensor], weight: float, rows: Sequence[Tensor]) -> dict[str, Tensor]:
    """Losses of the unlabelled images times their weight; 0 when no image has a pseudo-label.

    Without any label every object would be taught as background. The images are those of all
    ranks; the zeros keep their graph, so that all ranks do the same work.
    """
    factor = weight if ranks.anywhere(any(len(r) for r in rows)) else 0.0
    return {name: factor * loss for name, loss in losses.items()}


def label_stats(
    candidates: Sequence[Candidates], rows: Sequence[Tensor]
) -> dict[str, Tensor | float]:
    """How many labels there are and how good; the means are left out when nothing was kept."""
    images = len(candidates)
    kept = sum(len(r) for r in rows)
    stats: dict[str, Tensor | float] = {
        "pseudo/candidates": sum(len(c.labels) for c in candidates) / images,
        "pseudo/kept_per_image": kept / images,
    }
    if kept:
        pairs = list(zip(candidates, rows, strict=True))
        stats["pseudo/class_quality"] = torch.cat(
            [c.predictions.class_quality[r] for c, r in pairs]
        ).mean()
        stats["pseudo/mask_quality"] = torch.cat([c.mask_quality[r] for c, r in pairs]).mean()
        stats["pseudo/uncertainty"] = torch.cat([c.uncertainty[r] for c, r in pairs]).mean()
    return stats


def changed_share(candidates: Sequence[Candidates], rows: Sequence[Tensor]) -> Tensor:
    """Share of the kept candidates whose class was changed; 0 when nothing was kept. -> ()"""
    changed = torch.cat(
        [(c.labels != c.predictions.labels)[r] for c, r in zip(candidates, rows, strict=True)]
    )
    return changed.sum() / max(1, len(changed))


def fused_score(candidates: Sequence[Candidates], rows: Sequence[Tensor]) -> Tensor:
    """Mean fused probability of the kept candidates CLIP spoke of; 0 without any. -> ()"""
    fused = torch.cat([c.fused[r] for c, r in zip(candidates, rows, strict=True)])
    return fused.nansum() / (~fused.isnan()).sum().clamp(min=1)


def _correct(candidates: Candidates, rows: Tensor, clip: Tensor, fuse: Fusion) -> Candidates:
    before = candidates.predictions.labels[rows]
    teacher = teacher_probabilities(candidates.predictions.class_logits[rows])
    speaks = ~_probability(clip, before).isnan()
    fused = fuse(teacher, clip.nan_to_num(0.0))
    after = torch.where(speaks, fused.argmax(dim=1), before)
    score = _probability(fused, after).masked_fill(~speaks, torch.nan)
    return replace(
        candidates,
        labels=candidates.labels.scatter(0, rows, after),
        teacher_after=candidates.teacher_after.scatter(0, rows, _probability(teacher, after)),
        clip_before=candidates.clip_before.scatter(0, rows, _probability(clip, before)),
        clip_after=candidates.clip_after.scatter(0, rows, _probability(clip, after)),
        fused=candidates.fused.scatter(0, rows, score),
    )


def _best(rows: Tensor, quality: Tensor, count: int) -> Tensor:
    if len(rows) <= count:
        return rows
    return rows[quality[rows].topk(count).indices]


def _probability(probabilities: Tensor, labels: Tensor) -> Tensor:
    """(N, K), (N,) -> (N,) the probability of each row's label."""
    return probabilities.gather(1, labels[:, None])[:, 0]
