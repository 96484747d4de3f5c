"""The generated dataset: deterministic, honest masks, long tail, safe on disk."""

from __future__ import annotations

import itertools
import multiprocessing
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from lab.config import ConfigError, LooksConfig, ShapesConfig, parse_run_config
from lab.datasets import rle
from lab.datasets.shapes import (
    make_shapes,
    shapes_categories,
    shapes_directory_name,
    shapes_scene,
)
from lab.datasets.shapes_classes import MAIN, PRETRAIN, family_classes
from lab.datasets.shapes_scene import MIN_VISIBLE_PIXELS, ScenePlan, draw_scene, plan_scene

SMALL = ShapesConfig(num_train=6, num_val=3, image_size=64)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    return make_shapes(SMALL, tmp_path_factory.mktemp("shapes"))


def test_the_same_generator_state_gives_the_same_scene():
    first, second = (draw_scene(np.random.default_rng(3), MAIN, 96) for _ in range(2))

    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.depth, second.depth)
    assert [o.label for o in first.objects] == [o.label for o in second.objects]


def test_an_image_does_not_depend_on_how_many_are_asked_for():
    few, many = ShapesConfig(num_train=5), ShapesConfig(num_train=500)

    np.testing.assert_array_equal(
        shapes_scene(few, "train", 4).image, shapes_scene(many, "train", 4).image
    )


@pytest.mark.parametrize("other", [{"seed": 1}, {"family": "pretrain"}])
def test_another_seed_or_family_gives_other_images(other):
    one = shapes_scene(SMALL, "train", 0).image
    two = shapes_scene(SMALL.model_copy(update=other), "train", 0).image

    assert np.abs(one.astype(int) - two).mean() > 5


def test_train_and_val_share_no_image():
    train = [shapes_scene(SMALL, "train", i).image.tobytes() for i in range(6)]
    val = [shapes_scene(SMALL, "val", i).image.tobytes() for i in range(6)]

    assert len({*train, *val}) == 12


@pytest.mark.parametrize("family", ["main", "pretrain"])
@pytest.mark.parametrize("size", [32, 96, 200])
def test_masks_are_disjoint_and_never_specks(family, size):
    for seed in range(20):
        scene = draw_scene(np.random.default_rng(seed), family_classes(family), size)

        assert scene.image.shape == (size, size, 3) and scene.image.dtype == np.uint8
        assert scene.depth.shape == (size, size) and scene.depth.dtype == np.uint16
        masks = np.array([o.mask for o in scene.objects]).reshape(-1, size, size)
        assert masks.sum(axis=0).max() <= 1
        assert all(o.mask.sum() >= MIN_VISIBLE_PIXELS for o in scene.objects)


def test_what_lies_in_front_is_nearer_in_the_depth_map():
    nearer, pairs = 0, 0
    for seed in range(40):
        scene = draw_scene(np.random.default_rng(seed), MAIN, 96)
        ground = ~np.any([o.mask for o in scene.objects], axis=0)
        depths = [np.median(scene.depth[o.mask]) for o in scene.objects]
        assert all(depth > np.median(scene.depth[ground]) for depth in depths)
        nearer += sum(a < b for a, b in itertools.pairwise(depths))
        pairs += max(0, len(depths) - 1)

    assert nearer >= 0.9 * pairs


def test_classes_have_a_long_tail_and_every_one_occurs():
    counts = Counter(
        thing.label
        for seed in range(1500)
        for thing in plan_scene(np.random.default_rng(seed), MAIN, 128).objects
    )

    assert len(counts) == 12
    ratio = min(counts.values()) / max(counts.values())
    assert 1 / 12 < ratio < 1 / 5


def test_companions_occur_together_more_often_than_chance():
    names = [c.name for c in MAIN]
    rare, partner = names.index("star"), names.index("flower")
    with_rare, without = Counter(), Counter()
    for seed in range(1500):
        labels = {o.label for o in plan_scene(np.random.default_rng(seed), MAIN, 64).objects}
        (with_rare if rare in labels else without)[partner in labels] += 1

    share = with_rare[True] / with_rare.total()
    assert share > 2 * without[True] / without.total()


def test_look_alikes_share_a_supercategory_and_the_families_share_no_class():
    groups = Counter(c.supercategory for c in MAIN)
    partners = {c.name: c.companion for c in MAIN}

    assert groups == {"round": 3, "cornered": 3, "pointed": 3, "lobed": 3}
    assert all(partners[partner or ""] == name for name, partner in partners.items())
    assert not {c.name for c in MAIN} & {c.name for c in PRETRAIN}


def test_some_objects_have_nearly_the_colours_of_the_ground():
    close = []
    for seed in range(150):
        plan = plan_scene(np.random.default_rng(seed), MAIN, 128)
        close += [
            np.linalg.norm(np.subtract(o.paint.base, plan.ground.base)) < 30 for o in plan.objects
        ]

    assert 0.1 < np.mean(close) < 0.3


def plans(looks: LooksConfig, count: int = 200) -> list[ScenePlan]:
    return [plan_scene(np.random.default_rng(seed), MAIN, 128, looks) for seed in range(count)]


def test_usual_looks_give_the_plans_that_they_always_gave():
    """Of seed 3, written down before looks could be chosen."""
    first, second = plan_scene(np.random.default_rng(3), MAIN, 128).objects

    assert (first.label, first.paint.pattern) == (3, "checker")
    assert first.centre == pytest.approx((91.231472, 89.024644), abs=1e-6)
    assert first.paint.base == pytest.approx((69.643861, 114.04707, 50.655818), abs=1e-6)
    assert (second.label, second.paint.pattern) == (7, "stripes")
    assert second.size == pytest.approx(26.773212, abs=1e-6)
    assert second.paint.base == pytest.approx((18.540378, 95.266994, 129.285771), abs=1e-6)


def test_usual_looks_are_found_where_they_were_drawn_before_there_was_a_choice():
    assert shapes_directory_name(ShapesConfig()) == "shapes-fa18764b33513406"
    assert shapes_directory_name(SMALL) == "shapes-941ad2e9476234ef"


@pytest.mark.parametrize("looks", [{"low_contrast": 0.5}, {"shared_texture": 0.1}, {"twins": 0}])
def test_other_looks_have_a_directory_of_their_own(looks):
    other = SMALL.model_copy(update={"looks": LooksConfig(**looks)})

    assert shapes_directory_name(other) != shapes_directory_name(SMALL)
    assert shapes_scene(other, "train", 0).image.shape == (64, 64, 3)


def test_labels_can_be_supercategories_of_the_same_pictures():
    """Three classes each: 0 to 2 are round, 3 to 5 cornered, and so on."""
    coarse = SMALL.model_copy(update={"labels": "supercategory"})

    assert [c.name for c in shapes_categories(coarse)] == ["round", "cornered", "pointed", "lobed"]
    assert shapes_directory_name(coarse) != shapes_directory_name(SMALL)
    for index in range(6):
        one, two = (shapes_scene(config, "train", index) for config in (SMALL, coarse))
        np.testing.assert_array_equal(one.image, two.image)
        assert [o.label // 3 for o in one.objects] == [o.label for o in two.objects]


def test_every_object_can_have_low_contrast():
    """Faded to a quarter of their own colours at most, or the ground's but for a fifth."""
    for plan in plans(LooksConfig(low_contrast=1, twins=0)):
        for thing in plan.objects:
            ground, own = np.array(plan.ground.base), np.array(thing.paint.base)
            assert np.abs(own - ground).max() <= 0.25 * 255


def test_every_object_can_share_the_colours_of_the_ground():
    for plan in plans(LooksConfig(shared_texture=1)):
        colours = {plan.ground.base, plan.ground.accent}
        assert all({o.paint.base, o.paint.accent} == colours for o in plan.objects)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_twins_are_as_many_as_asked_for(share):
    later = [
        (one, two)
        for plan in plans(LooksConfig(twins=share))
        for one, two in itertools.pairwise(plan.objects)
    ]
    twins = [(one, two) for one, two in later if one.paint == two.paint]

    assert len(twins) / len(later) == pytest.approx(share, abs=0.05)
    for one, two in twins:
        gap = np.linalg.norm(np.subtract(one.centre, two.centre))
        assert gap <= 0.44 * (one.size + two.size) + 1e-6


def test_sizes_and_numbers_of_objects_can_be_chosen():
    """Large ones are at least 30 % of the image; a twin is never larger than its neighbour."""
    for plan in plans(LooksConfig(sizes=(0, 0, 1), objects=(1, 3), twins=0)):
        assert 1 <= len(plan.objects) <= 3
        assert all(0.3 * 128 <= thing.size <= 0.6 * 128 for thing in plan.objects)
    assert {len(plan.objects) for plan in plans(LooksConfig(objects=(1, 3)))} == {1, 2, 3}


@pytest.mark.parametrize("looks", [{"sizes": [0.5, 0.5, 0.5]}, {"objects": [4, 2]}])
def test_sizes_and_numbers_that_cannot_be_are_refused(looks):
    with pytest.raises(ConfigError, match=f"dataset.*{next(iter(looks))}"):
        parse_run_config({"dataset": {"source": "shapes", "looks": looks}})


@pytest.mark.parametrize("looks", [{"low_contrast": 1.1}, {"twins": -0.1}, {"camouflage": 0.5}])
def test_looks_that_mean_nothing_are_refused_by_name(looks):
    with pytest.raises(ConfigError, match=f"dataset.*looks.*{next(iter(looks))}"):
        parse_run_config({"dataset": {"source": "shapes", "looks": looks}})


def test_the_files_say_what_the_scenes_are(made):
    train, val = made

    assert (len(train.images), len(val.images)) == (6, 3)
    assert train.categories == shapes_categories(SMALL)
    for index, image in enumerate(train.images):
        scene = shapes_scene(SMALL, "train", index)
        pixels = cv2.imread(str(image.path))
        assert pixels is not None
        np.testing.assert_array_equal(pixels[..., ::-1], scene.image)
        depth = cv2.imread(str(image.depth_path), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(depth, scene.depth)
        assert [a.label for a in image.annotations] == [o.label for o in scene.objects]
        for annotation, thing in zip(image.annotations, scene.objects, strict=True):
            assert annotation.mask is not None
            np.testing.assert_array_equal(rle.decode(annotation.mask), thing.mask)
            assert annotation.area == thing.mask.sum()


def test_what_is_there_is_used_again(tmp_path: Path):
    heard: list[tuple[int, int]] = []
    first = make_shapes(SMALL, tmp_path, lambda done, total: heard.append((done, total)))
    second = make_shapes(SMALL, tmp_path, lambda done, total: heard.append((-1, total)))

    assert first == second
    assert heard == [(done, 9) for done in range(1, 10)]
    assert [p.name for p in tmp_path.iterdir()] == [shapes_directory_name(SMALL)]


def test_a_generation_that_breaks_off_leaves_nothing_behind(tmp_path: Path):
    def give_up(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_shapes(SMALL, tmp_path, give_up)

    assert list(tmp_path.iterdir()) == []


def test_two_processes_may_generate_the_same_dataset_at_once(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        one, two = pool.starmap(make_shapes, [(SMALL, tmp_path)] * 2)

    assert one == two
    assert [p.name for p in tmp_path.iterdir()] == [shapes_directory_name(SMALL)]
