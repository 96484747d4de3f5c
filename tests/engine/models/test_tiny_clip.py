"""The stand-in CLIP: what it learns from, how, and what its file holds."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from engine.models.clip_text import class_features, prompt_tokens, prompts
from engine.models.crops import CropError, Crops, labeled_crops, scene_crops
from engine.models.tiny_clip import (
    Recipe,
    contrastive_loss,
    main,
    perturb,
    recall_per_class,
    recognise,
    train_tiny_clip,
)
from engine.models.tiny_clip_model import (
    TinyClipError,
    load_tiny_clip,
    save_tiny_clip,
    tiny_tokenizer,
)
from engine.weights import TINY_CLIP
from lab.config import ShapesConfig
from lab.datasets import rle
from lab.datasets.records import Annotation, Category, Dataset, ImageRecord

CLASSES = ("rose", "sky")


def colored_crops(count: int) -> Crops:
    """Red squares are roses, blue ones are sky."""
    labels = torch.arange(count) % 2
    regions = torch.randint(0, 60, (count, 3, 48, 48), generator=torch.Generator().manual_seed(0))
    regions[labels == 0, 0] += 180
    regions[labels == 1, 2] += 180
    masks = torch.zeros(count, 48, 48, dtype=torch.bool)
    masks[:, 8:40, 8:40] = True
    return Crops(regions.to(torch.uint8), masks, labels)


def dataset(path: Path, *annotations: Annotation) -> Dataset:
    record = ImageRecord(1, path, 20, 30, annotations)
    return Dataset("two", (Category(1, "rose", "red"), Category(2, "sky", "blue")), (record,))


def annotation(box: tuple[float, float, float, float], **changes: object) -> Annotation:
    fields: dict[str, object] = {"annotation_id": 1, "label": 1, "area": 9.0, "mask": None}
    return Annotation(box=box, **{**fields, **changes})  # type: ignore[arg-type]


def test_prompts_keep_the_templates_of_a_class_together():
    assert prompts(["cat", "dog"], ["a {class}.", "the {class}"]) == [
        "a cat.",
        "the cat",
        "a dog.",
        "the dog",
    ]


@pytest.mark.parametrize("templates", [[], ["a photo"]])
def test_a_template_without_a_place_for_the_class_is_refused(templates: list[str]):
    with pytest.raises(ValueError, match="templates"):
        prompts(["cat"], templates)


def test_the_templates_of_a_class_are_averaged_to_one_unit_feature():
    class Lookup:
        def encode_text(self, text: Tensor, normalize: bool = False) -> Tensor:
            assert normalize
            return torch.eye(2)[text[:, 0]]

    tokens = torch.tensor([[[0], [1]], [[1], [1]]])

    features = class_features(Lookup(), tokens)

    half = math.sqrt(0.5)
    torch.testing.assert_close(features, torch.tensor([[half, half], [0.0, 1.0]]))


def test_without_knowledge_the_loss_is_the_mean_of_two_logarithms():
    loss = contrastive_loss(torch.zeros(4, 3), torch.tensor([0, 1, 2, 2]))

    # A picture chooses among 3 classes, a class among 4 pictures.
    assert loss.item() == pytest.approx((math.log(3) + math.log(4)) / 2, abs=1e-6)


def test_a_class_shares_its_attention_among_its_pictures():
    logits = torch.tensor([[50.0, 0.0], [50.0, 0.0]])

    loss = contrastive_loss(logits, torch.tensor([0, 0]))

    # Pictures are sure of class 0; class 0 has two pictures, ln 2 each; class 1 has none.
    assert loss.item() == pytest.approx(math.log(2) / 2, abs=1e-6)


def test_a_crop_holds_the_squeezed_box_and_a_quarter_around_it(tmp_path: Path):
    image = np.zeros((20, 30, 3), dtype=np.uint8)
    image[4:12, 10:26] = (0, 0, 255)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    mask = np.zeros((20, 30), dtype=bool)
    mask[4:12, 10:26] = True

    crops = labeled_crops(
        dataset(tmp_path / "a.png", annotation((10, 4, 26, 12), mask=rle.encode(mask)))
    )

    assert crops.labels.tolist() == [1]
    assert crops.regions[0, :, 24, 24].tolist() == [255, 0, 0]
    red = crops.regions[0, 0] > 127
    assert torch.equal(red, crops.masks[0])
    assert red[9:39, 9:39].all() and 32 * 32 - 4 <= int(red.sum()) <= 32 * 32  # corners are round


def test_crowds_and_specks_are_left_out(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((20, 30, 3), dtype=np.uint8))

    crops = labeled_crops(
        dataset(
            tmp_path / "a.png",
            annotation((0, 0, 9, 9), is_crowd=True),
            annotation((0, 0, 9, 1)),
            annotation((0, 0, 9, 9), label=0),
        )
    )

    assert crops.labels.tolist() == [0] and crops.masks.all()


def test_nothing_to_learn_from_is_an_error_that_says_where(tmp_path: Path):
    missing = tmp_path / "gone.png"

    with pytest.raises(CropError, match=r"gone\.png: cannot be read"):
        labeled_crops(dataset(missing, annotation((0, 0, 9, 9))))
    with pytest.raises(CropError, match="dataset two: no labelled object"):
        labeled_crops(dataset(missing))


def test_scenes_give_the_same_crops_every_time():
    config = ShapesConfig(seed=5, image_size=64)

    both = scene_crops(config, "train", 0, 2)
    again = scene_crops(config, "train", 1, 1)

    assert torch.equal(both.regions[-len(again) :], again.regions)
    assert both.masks.flatten(1).any(dim=1).all()


def test_flattening_a_background_leaves_the_object():
    crops = colored_crops(64)
    torch.manual_seed(0)

    flat = perturb(crops, flat_chance=1.0, mirror_diagonally=False)
    natural = perturb(crops, flat_chance=0.0, mirror_diagonally=False)

    assert flat.shape == natural.shape == (64, 3, 32, 32)
    # The middle is object in every picture: red beats blue in the roses either way.
    for pictures in (flat, natural):
        middle = pictures[:, :, 12:20, 12:20].mean(dim=(2, 3))
        assert (middle[crops.labels == 0, 0] > middle[crops.labels == 0, 2]).float().mean() > 0.9


def test_it_learns_two_colors_in_a_few_steps():
    crops = colored_crops(32)

    clip = train_tiny_clip(crops, CLASSES, Recipe(25, batch=16), seed=3)

    assert (recognise(clip, crops) == crops.labels).float().mean() > 0.9
    assert not clip.model.training


def test_the_same_seed_gives_the_same_network_and_disturbs_nobody():
    crops = colored_crops(8)
    before = torch.get_rng_state()

    one = train_tiny_clip(crops, CLASSES, Recipe(2, batch=4), seed=3)
    two = train_tiny_clip(crops, CLASSES, Recipe(2, batch=4), seed=3)

    assert torch.equal(torch.get_rng_state(), before)
    for first, second in zip(one.model.parameters(), two.model.parameters(), strict=True):
        assert torch.equal(first, second)


def test_no_pictures_no_training():
    with pytest.raises(ValueError, match="no pictures"):
        train_tiny_clip(colored_crops(0), CLASSES, Recipe(1), seed=0)


def test_a_file_gives_back_the_network_and_is_small(tmp_path: Path):
    crops = colored_crops(32)
    clip = train_tiny_clip(crops, CLASSES, Recipe(25, batch=16), seed=3)
    path = tmp_path / "clip.safetensors"

    tokens = prompt_tokens(tiny_tokenizer(), clip.classes, clip.templates)
    save_tiny_clip(path, clip, tokens)
    loaded = load_tiny_clip(path)

    assert (loaded.classes, loaded.templates) == (CLASSES, clip.templates)
    assert torch.equal(recognise(loaded, crops), recognise(clip, crops))
    texts = [class_features(c.model, tokens) for c in (clip, loaded)]
    torch.testing.assert_close(texts[0], texts[1], atol=5e-3, rtol=0)
    assert path.stat().st_size < 1_000_000 and list(tmp_path.iterdir()) == [path]


def test_other_files_are_refused(tmp_path: Path):
    text, foreign = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    text.write_text("hello")
    safetensors.torch.save_file({"a": torch.zeros(1)}, foreign)

    with pytest.raises(TinyClipError, match="no such file"):
        load_tiny_clip(tmp_path / "c.safetensors")
    with pytest.raises(TinyClipError, match="not a safetensors file"):
        load_tiny_clip(text)
    with pytest.raises(TinyClipError, match="not the weights of a tiny CLIP"):
        load_tiny_clip(foreign)


def test_recall_leaves_out_classes_without_objects():
    answers, labels = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 0, 1])

    recalls = recall_per_class(answers, labels, ["a", "b", "c"])

    assert recalls == {"a": pytest.approx(2 / 3), "b": 1}


def test_the_command_writes_weights_and_how_they_were_made(tmp_path: Path):
    path = tmp_path / "weights" / "clip.safetensors"
    command = f"--out {path} --scenes 3 --held-out 3 --steps 2 --image-size 64"

    main(command.split())

    about = json.loads(path.with_suffix(".json").read_text())
    assert about["command"] == f"python -m engine.models.tiny_clip {command}"
    assert about["train"]["seed"] != about["held_out"]["seed"]
    assert 0 <= about["accuracy"] <= 1 and about["held_out"]["objects"] > 0
    assert load_tiny_clip(path).classes[0] == "disc"


def test_the_command_wants_a_safetensors_file(tmp_path: Path):
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path / "clip.pt")])


def test_the_shipped_weights_recognise_objects_they_never_saw():
    about = json.loads(TINY_CLIP.with_suffix(".json").read_text())
    clip = load_tiny_clip(TINY_CLIP)

    crops = scene_crops(ShapesConfig(seed=31), "val", 0, 50)
    accuracy = (recognise(clip, crops) == crops.labels).float().mean().item()

    # Some 200 objects: within four standard errors of what the file says of itself.
    assert accuracy == pytest.approx(about["accuracy"], abs=0.12) and accuracy > 0.6
    assert TINY_CLIP.stat().st_size < 3_500_000
