"""Mask AP equals pycocotools', and every known trap has the right answer or a clear error."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from analysis_scenes import (
    BEAR,
    CAR,
    CATEGORIES,
    DOG,
    annotation,
    block,
    dataset,
    encode,
    image,
)
from pycocotools import coco, cocoeval

from lab.analysis.average_precision import (
    ImagePredictions,
    as_dicts,
    detections_of,
    evaluation_kinds,
    hotcoco_precision,
    mask_ap,
    pycocotools_precision,
    truth_as_coco,
)
from lab.datasets.records import Dataset, Rle

EVALUATORS = pytest.mark.parametrize("evaluator", [hotcoco_precision, pycocotools_precision])
LEFT, RIGHT = block((0, 0, 6, 6)), block((12, 0, 18, 6))


def predictions(image_id: int, *found: tuple[int, float, Rle]) -> ImagePredictions:
    return ImagePredictions(
        image_id,
        np.array([label for label, _, _ in found], np.int64),
        np.array([score for _, score, _ in found], np.float32),
        tuple(mask for _, _, mask in found),
    )


def random_box(random: np.random.Generator, size: int) -> tuple[int, int, int, int]:
    x, y = random.integers(0, size - 8, 2)
    w, h = random.integers(2, size // 2, 2)
    return int(x), int(y), int(x + w), int(y + h)


def shaken(box, random: np.random.Generator):
    return tuple(int(v) for v in np.array(box) + random.integers(-2, 3, 4))


def random_world(seed: int, num_images: int = 40, size: int = 256):
    """Truths of all sizes, 1 in 10 a crowd; predictions near and far, rounded scores."""
    random = np.random.default_rng(seed)
    images, found = [], []
    for image_id in range(0, 3 * num_images, 3):
        boxes = [random_box(random, size) for _ in range(random.integers(0, 8))]
        truths = [
            annotation(
                1000 * image_id + i,
                int(random.integers(0, 3)),
                block(box, size),
                is_crowd=random.random() < 0.1,
            )
            for i, box in enumerate(boxes)
        ]
        images.append(image(image_id, *truths, size=size))
        near = [(t.label, shaken(b, random)) for t, b in zip(truths, boxes, strict=True)] * 2
        far = [(int(random.integers(0, 3)), random_box(random, size)) for _ in range(5)]
        found.append(
            predictions(
                image_id,
                *[(c, round(random.random(), 1), block(b, size)) for c, b in near + far],
            )
        )
    return dataset(*images), found


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ap_is_bit_identical_to_pycocotools_with_ties_and_crowds(seed):
    world, found = random_world(seed)

    arguments = truth_as_coco(world), detections_of(found)
    np.testing.assert_array_equal(hotcoco_precision(*arguments), pycocotools_precision(*arguments))
    ours, oracle = mask_ap(world, found), mask_ap(world, found, pycocotools_precision)
    assert ours == oracle
    assert all(0 < value < 100 for value in ours.metrics.values())


def test_the_named_metrics_are_those_of_pycocotools_summary():
    world, found = random_world(3)
    truth = coco.COCO()
    truth.dataset = truth_as_coco(world)
    truth.createIndex()
    evaluation = cocoeval.COCOeval(truth, truth.loadRes(as_dicts(detections_of(found))), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()

    metrics = mask_ap(world, found).metrics
    assert list(metrics) == ["AP", "AP50", "AP75", "APs", "APm", "APl"]
    assert list(metrics.values()) == pytest.approx(100 * evaluation.stats[:6], abs=1e-10)


@EVALUATORS
def test_perfect_predictions_score_100_even_with_annotation_id_zero(evaluator):
    world = dataset(image(0, annotation(0, BEAR, LEFT), annotation(1, BEAR, RIGHT)))

    result = mask_ap(world, [predictions(0, (BEAR, 0.9, LEFT), (BEAR, 0.8, RIGHT))], evaluator)

    assert result.metrics["AP"] == pytest.approx(100)
    assert result.metrics["APs"] == pytest.approx(100)
    assert math.isnan(result.metrics["APm"])
    assert math.isnan(result.metrics["APl"])


@EVALUATORS
def test_a_class_without_truth_is_nan_and_not_in_the_mean(evaluator):
    world = dataset(image(1, annotation(1, BEAR, LEFT)))

    result = mask_ap(world, [predictions(1, (BEAR, 0.9, LEFT), (CAR, 1.0, RIGHT))], evaluator)

    assert result.metrics["AP"] == pytest.approx(100)
    assert result.per_class["bear"] == pytest.approx(100)
    assert math.isnan(result.per_class["car"]) and math.isnan(result.per_class["dog"])


@EVALUATORS
@pytest.mark.parametrize("found", [[], [predictions(1)]])
def test_no_predictions_score_zero(found, evaluator):
    result = mask_ap(dataset(image(1, annotation(1, BEAR, LEFT))), found, evaluator)

    assert result.metrics["AP"] == 0
    assert result.per_class["bear"] == 0


@EVALUATORS
def test_no_truth_scores_nan(evaluator):
    result = mask_ap(dataset(image(1)), [predictions(1, (BEAR, 0.9, LEFT))], evaluator)

    assert math.isnan(result.metrics["AP"])


@EVALUATORS
def test_equal_scores_rank_in_the_order_given(evaluator):
    world = dataset(image(1, annotation(1, BEAR, LEFT)))
    right, wrong = (BEAR, 0.5, LEFT), (BEAR, 0.5, RIGHT)

    first = mask_ap(world, [predictions(1, right, wrong)], evaluator)
    last = mask_ap(world, [predictions(1, wrong, right)], evaluator)

    assert first.metrics["AP"] == pytest.approx(100)
    assert last.metrics["AP"] == pytest.approx(50)


@EVALUATORS
def test_predictions_on_a_crowd_of_their_class_cost_nothing(evaluator):
    crowd = annotation(2, BEAR, block((0, 10, 20, 20)), is_crowd=True)
    world = dataset(image(1, annotation(1, BEAR, LEFT), crowd))
    inside = [(BEAR, 0.95, block((x, 12, x + 2, 14))) for x in (2, 6, 10)]

    result = mask_ap(world, [predictions(1, *inside, (BEAR, 0.5, LEFT))], evaluator)

    assert result.metrics["AP"] == pytest.approx(100)


@EVALUATORS
def test_an_area_of_1024_is_small_and_medium(evaluator):
    square = block((0, 0, 32, 32), size=64)
    world = dataset(image(1, annotation(1, BEAR, square), size=64))

    metrics = mask_ap(world, [predictions(1, (BEAR, 0.9, square))], evaluator).metrics

    assert metrics["APs"] == metrics["APm"] == pytest.approx(100)


@EVALUATORS
def test_the_area_of_a_detection_is_its_masks_not_its_boxs(evaluator):
    """A wrong diagonal of 60 pixels in a 60x60 box is small, so it does not hurt APm."""
    square = block((0, 0, 40, 40), size=128)
    diagonal = np.zeros((128, 128), np.bool_)
    diagonal[np.arange(60, 120), np.arange(60, 120)] = True
    world = dataset(image(1, annotation(1, BEAR, square), size=128))
    found = predictions(1, (BEAR, 0.9, encode(diagonal)), (BEAR, 0.8, square))

    metrics = mask_ap(world, [found], evaluator).metrics

    assert metrics["APm"] == pytest.approx(100)
    assert metrics["AP"] == pytest.approx(50)


@EVALUATORS
def test_a_hundred_and_one_predictions_of_one_class_count_a_hundred(evaluator):
    world = dataset(image(1, annotation(1, BEAR, LEFT)))
    many = [(BEAR, 0.9, RIGHT)] * 100

    assert mask_ap(world, [predictions(1, *many, (BEAR, 0.5, LEFT))], evaluator).metrics["AP"] == 0
    other_class = mask_ap(
        world, [predictions(1, *[(DOG, 0.9, RIGHT)] * 100, (BEAR, 0.5, LEFT))], evaluator
    )
    assert other_class.metrics["AP"] == pytest.approx(100)


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_refused(score):
    with pytest.raises(ValueError, match=r"score 0 of image 1 is (nan|inf), not finite"):
        predictions(1, (BEAR, score, LEFT))


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match="image 1: 1 labels, 1 scores, 0 masks"):
        replace(predictions(1, (BEAR, 0.5, LEFT)), masks=())


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([predictions(2)], "image 2 is not in dataset scene"),
        ([predictions(1), predictions(1)], "image 1 has two lists"),
        ([predictions(1, (3, 0.5, LEFT))], r"image 1: class 3 is not in 0\.\.2"),
        (
            [predictions(1, (BEAR, 0.5, block((0, 0, 2, 2), size=10)))],
            "prediction 0 of image 1: mask is 10x10, the image is 20x20",
        ),
    ],
)
@pytest.mark.parametrize("question", [mask_ap, evaluation_kinds])
def test_predictions_that_do_not_fit_the_dataset_are_refused(question, found, message):
    with pytest.raises(ValueError, match=message):
        question(dataset(image(1, annotation(1, BEAR, LEFT))), found)


def test_truth_without_masks_is_refused():
    world = dataset(image(1, annotation(5, BEAR, None)))

    with pytest.raises(ValueError, match="annotation 5 of image 1 has no mask"):
        mask_ap(world, [])


def test_the_breakdown_counts_confident_predictions_and_what_they_miss():
    world = dataset(
        image(1, annotation(1, BEAR, LEFT), annotation(2, CAR, RIGHT)),
        image(2, annotation(3, DOG, LEFT)),
        image(3, annotation(4, DOG, LEFT)),
    )
    found = [
        predictions(1, (BEAR, 0.9, LEFT), (BEAR, 0.8, LEFT), (BEAR, 0.7, RIGHT), (CAR, 0.4, RIGHT)),
        predictions(2, (BEAR, 0.5, LEFT), (DOG, 0.6, RIGHT)),
    ]

    kinds = evaluation_kinds(world, found)

    assert kinds == {
        "Cor": 2, "Loc": 0, "Sim": 1, "Oth": 1, "BG": 1, "Missed": 3, "Duplicate": 1,
    }  # fmt: skip


def test_the_breakdown_looks_at_the_best_of_an_image_only():
    world = dataset(image(1, annotation(1, BEAR, LEFT)))
    found = predictions(1, (BEAR, 0.6, RIGHT), (BEAR, 0.9, LEFT))

    assert evaluation_kinds(world, [found], max_per_image=1)["BG"] == 0
    assert evaluation_kinds(world, [found])["BG"] == 1


def test_truth_given_as_prediction_has_no_error_and_ap_100():
    world, _ = random_world(5)
    truth = [
        predictions(
            one.image_id,
            *[(a.label, 0.9, a.mask) for a in one.annotations if a.mask and not a.is_crowd],
        )
        for one in world.images
    ]

    kinds = evaluation_kinds(world, truth)

    assert {k for k, count in kinds.items() if count} == {"Cor"}
    assert mask_ap(world, truth).metrics["AP"] == pytest.approx(100)


def test_an_empty_dataset_has_nothing_to_say():
    empty = Dataset("empty", CATEGORIES, ())

    assert set(evaluation_kinds(empty, []).values()) == {0}
