"""CLIP as a second opinion: any open_clip model, or the stand-in."""

from __future__ import annotations

import json
import time
from pathlib import Path

import open_clip
import pytest
import safetensors.torch
import torch
from huggingface_hub import constants
from torch import Tensor, nn

from engine.models.clip import OpenClipCorrector, build_corrector, corrector_for
from engine.models.clip_loading import ClipError, LoadedClip, _wants_quick_gelu, load_open_clip
from engine.models.clip_text import ClassTexts
from engine.models.tiny_clip_model import tiny_tokenizer
from lab.config import ClipConfig, ShapesConfig
from lab.datasets.records import Category, Dataset
from lab.datasets.shapes import make_shapes

CPU = torch.device("cpu")
SMALL_MODEL = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
}


class FixedImageTower(nn.Module):
    """Sees the same thing in every patch, and remembers the patches."""

    def __init__(self, feature: Tensor) -> None:
        super().__init__()
        self.feature = feature
        self.patches: list[Tensor] = []

    def encode_image(self, patches: Tensor) -> Tensor:
        self.patches.append(patches)
        return self.feature.repeat(len(patches), 1)


def corrector(kappa: float = 100.0, margin: float = 0.0) -> OpenClipCorrector:
    """Cosines 0.30, 0.25, 0.28 with three classes, for whatever it looks at."""
    cosines = torch.tensor([0.30, 0.25, 0.28])
    rest = (1 - cosines.square().sum()).sqrt()
    tower = FixedImageTower(7 * torch.cat([cosines, rest[None]]))
    clip = LoadedClip(tower, tiny_tokenizer(), (4, 4), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    texts = ClassTexts(torch.eye(4)[:3, None], torch.ones(3, 1, dtype=torch.bool))
    return OpenClipCorrector(clip, texts, kappa, margin, min_patch=2)


def one_mask64() -> Tensor:
    mask = torch.zeros(1, 64, 64, dtype=torch.bool)
    mask[:, 5:50, 8:40] = True
    return mask


def one_mask(rows: slice, columns: slice) -> Tensor:
    mask = torch.zeros(1, 16, 16, dtype=torch.bool)
    mask[:, rows, columns] = True
    return mask


@pytest.fixture
def labeled(tmp_path: Path) -> Dataset:
    return make_shapes(ShapesConfig(num_train=3, num_val=1, image_size=64), tmp_path)[0]


@pytest.fixture
def local_model(tmp_path: Path) -> Path:
    """A complete open_clip model of random weights in a directory."""
    directory = tmp_path / "small"
    directory.mkdir()
    about = {"model_cfg": SMALL_MODEL, "preprocess_cfg": {"mean": [0.1, 0.2, 0.3]}}
    (directory / "open_clip_config.json").write_text(json.dumps(about))
    model = open_clip.model.CLIP(**SMALL_MODEL)
    torch.save(model.state_dict(), directory / "open_clip_pytorch_model.bin")
    return directory


def test_probabilities_are_the_softmax_of_scaled_cosines():
    mask = one_mask(slice(2, 9), slice(3, 9))

    answer = corrector().probabilities(torch.rand(1, 3, 16, 16), [mask])

    expected = torch.tensor([[0.875601, 0.005900, 0.118500]])
    torch.testing.assert_close(answer, expected, atol=2e-6, rtol=0)


def test_an_object_too_small_to_see_is_not_judged():
    masks = torch.cat([one_mask(slice(2, 9), slice(3, 4)), one_mask(slice(2, 4), slice(3, 5))])

    answer = corrector().probabilities(torch.rand(1, 3, 16, 16), [masks])

    assert answer.isnan().all(dim=1).tolist() == [True, False]


def test_an_empty_mask_is_not_judged():
    nothing = torch.zeros(1, 16, 16, dtype=torch.bool)

    assert corrector().probabilities(torch.rand(1, 3, 16, 16), [nothing]).isnan().all()


def test_nothing_to_judge_needs_no_look():
    judge = corrector()
    nothing = torch.zeros(0, 16, 16, dtype=torch.bool)

    assert judge.probabilities(torch.rand(2, 3, 16, 16), [nothing, nothing]).shape == (0, 3)


def test_a_patch_is_the_normalised_box_of_its_own_image():
    images = torch.stack([torch.full((3, 16, 16), 0.5), torch.full((3, 16, 16), 0.75)])
    judge = corrector()

    judge.probabilities(images, [one_mask(slice(0, 4), slice(0, 8))] * 2)

    tower = judge.clip.model
    assert isinstance(tower, FixedImageTower)
    (patches,) = tower.patches
    assert patches.shape == (2, 3, 4, 4)
    # Mean 0.5, deviation 0.25: gray 0.5 becomes 0, and 0.75 becomes 1.
    torch.testing.assert_close(patches.mean(dim=(1, 2, 3)), torch.tensor([0.0, 1.0]))


def test_the_temperature_is_capped_where_clip_caps_it(local_model: Path):
    clip = load_open_clip(f"local-dir:{local_model}", "unused")
    nn.init.constant_(clip.model.get_parameter("logit_scale"), 9.0)

    assert corrector_for(clip, ["cat"], ClipConfig()).kappa == 100


def test_any_open_clip_model_of_a_directory_can_judge(local_model: Path):
    clip = load_open_clip(f"local-dir:{local_model}", "unused")
    judge = corrector_for(clip, ["cat", "dog", "parrot"], ClipConfig(min_patch=1))

    answer = judge.probabilities(torch.rand(1, 3, 16, 16), [one_mask(slice(2, 9), slice(3, 9))])

    assert clip.size == (32, 32) and clip.mean == (0.1, 0.2, 0.3)
    norms = judge.texts.features.norm(dim=2).flatten().tolist()
    assert norms == pytest.approx([1, 1, 1], abs=1e-5)
    assert answer.sum().item() == pytest.approx(1, abs=1e-5)
    assert not answer.requires_grad


def test_a_directory_without_weights_is_refused(local_model: Path):
    (local_model / "open_clip_pytorch_model.bin").unlink()

    with pytest.raises(ClipError, match="could not be loaded"):
        load_open_clip(f"local-dir:{local_model}", "unused")


def test_offline_a_tag_fails_at_once_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    started = time.monotonic()

    with pytest.raises(ClipError, match=r"cannot be reached: set method\.clip\.pretrained"):
        load_open_clip("RN50", "openai")

    assert time.monotonic() - started < 10
    assert constants.HF_HUB_OFFLINE is True


@pytest.mark.parametrize(
    ("model", "pretrained", "message"),
    [
        ("RN50", "opeani", "neither a file nor a tag of RN50; its tags are openai"),
        ("RN51", "openai", "open_clip knows no such model"),
        ("RN50", "weights/clip.pt", "no such file"),
        ("RN50", "shapes", 'belongs to model "tiny"'),
    ],
)
def test_what_is_not_there_is_named(model: str, pretrained: str, message: str):
    with pytest.raises(ClipError, match=message):
        load_open_clip(model, pretrained)


def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path):
    path = tmp_path / "clip.pt"
    path.write_text("hello")

    with pytest.raises(ClipError, match=r"clip\.pt"):
        load_open_clip("ViT-S-32-alt", str(path))


def test_a_random_clip_is_refused(labeled: Dataset, tmp_path: Path):
    with pytest.raises(ClipError, match="randomly initialised CLIP corrects nothing"):
        build_corrector(ClipConfig(pretrained=None), labeled, tmp_path / "c", 0, CPU)


def test_the_stand_in_learns_from_the_labelled_images_once(labeled: Dataset, tmp_path: Path):
    config = ClipConfig(pretrained="labeled", train_steps=2)
    path = tmp_path / "run" / "clip.safetensors"
    image, mask = torch.rand(1, 3, 16, 16), one_mask(slice(2, 9), slice(3, 9))

    first = build_corrector(config, labeled, path, 0, CPU)
    written = path.stat().st_mtime_ns
    second = build_corrector(config, labeled, path, 1, CPU)

    assert path.stat().st_mtime_ns == written
    answers = [judge.probabilities(image, [mask]) for judge in (first, second)]
    assert answers[0].shape == (1, 12)
    assert torch.equal(answers[0], answers[1])


def test_the_stand_in_needs_a_labelled_object(labeled: Dataset, tmp_path: Path):
    config, path = ClipConfig(pretrained="labeled"), tmp_path / "clip.safetensors"

    with pytest.raises(ClipError, match="no labelled object to learn classes from"):
        build_corrector(config, labeled.with_images([]), path, 0, CPU)

    assert not path.exists()


def test_the_stand_in_refuses_words_it_never_heard(labeled: Dataset, tmp_path: Path):
    path = tmp_path / "clip.safetensors"
    build_corrector(ClipConfig(pretrained="labeled", train_steps=1), labeled, path, 0, CPU)
    cats = Dataset("cats", (Category(1, "cat", "animal"),), ())

    with pytest.raises(ClipError, match='the dataset has cat too: set it to "labeled"'):
        build_corrector(ClipConfig(pretrained=str(path)), cats, tmp_path / "x", 0, CPU)
    with pytest.raises(ClipError, match="understands nothing else"):
        build_corrector(
            ClipConfig(pretrained=str(path), templates=("one {class}",)),
            labeled,
            tmp_path / "x",
            0,
            CPU,
        )
    with pytest.raises(ClipError, match="no such file"):
        build_corrector(ClipConfig(pretrained="gone"), labeled, tmp_path / "x", 0, CPU)


def test_classes_beyond_its_vocabulary_may_keep_the_teachers_opinion(
    labeled: Dataset, tmp_path: Path
):
    mixed = Dataset("mixed", (*labeled.categories[:2], Category(99, "cat", "animal")), ())
    config = ClipConfig(unknown_classes="keep")

    judge = build_corrector(config, mixed, tmp_path / "x", 0, CPU)
    answer = judge.probabilities(torch.rand(1, 3, 16, 16), [one_mask(slice(2, 9), slice(3, 9))])

    assert answer.isnan().tolist() == [[False, False, True]]
    assert answer[0, :2].sum().item() == pytest.approx(1, abs=1e-5)


def test_a_vocabulary_without_any_of_the_classes_is_refused_all_the_same(tmp_path: Path):
    cats = Dataset("cats", (Category(1, "cat", "animal"),), ())

    with pytest.raises(ClipError, match="the dataset has cat too"):
        build_corrector(ClipConfig(unknown_classes="keep"), cats, tmp_path / "x", 0, CPU)


def test_the_stand_in_understands_no_descriptions(labeled: Dataset, tmp_path: Path):
    config = ClipConfig(descriptions={"disc": ("it is round",)})

    with pytest.raises(ClipError, match=r"method\.clip\.descriptions: the tiny CLIP"):
        build_corrector(config, labeled, tmp_path / "x", 0, CPU)


def test_known_boxes_are_judged_as_their_masks_are(local_model: Path):
    judge = corrector_for(
        load_open_clip(f"local-dir:{local_model}", "unused"), ["cat", "dog"], ClipConfig()
    )
    image, mask = torch.rand(1, 3, 16, 16), one_mask(slice(2, 9), slice(3, 12))

    by_box = judge.probabilities_in(image, [torch.tensor([[3.0, 2.0, 12.0, 9.0]])])

    assert torch.equal(by_box, judge.probabilities(image, [mask]))


COCO_NAMES = [f"thing number {index}" for index in range(80)]
SMALL_NAME = "small-of-the-tests"


@pytest.fixture
def small_architecture(tmp_path: Path) -> str:
    """The name of a small architecture that open_clip knows from now on."""
    path = tmp_path / f"{SMALL_NAME}.json"
    path.write_text(json.dumps(SMALL_MODEL))
    open_clip.add_model_config(path)
    return SMALL_NAME


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_of_any_precision_load_from_a_file(
    small_architecture: str, tmp_path: Path, dtype: torch.dtype, suffix: str
):
    """A built-in architecture, 80 classes with several descriptions each, the authors' pooling."""
    torch.manual_seed(0)
    random = open_clip.create_model(small_architecture, pretrained=None)
    state = {name: value.to(dtype).contiguous() for name, value in random.state_dict().items()}
    path = tmp_path / f"clip{suffix}"
    if suffix == ".pt":
        torch.save({"state_dict": state}, path)
    else:
        safetensors.torch.save_file(state, path)
    described = {name: (f"{name}, seen from afar", f"a close {name}") for name in COCO_NAMES}
    config = ClipConfig(descriptions=described, combine="logits")

    clip = load_open_clip(small_architecture, str(path))
    judge = corrector_for(clip, COCO_NAMES, config)
    answer = judge.probabilities(torch.rand(1, 3, 64, 64), [one_mask64()])

    assert judge.texts.features.shape[:2] == (80, 2)
    assert {p.dtype for p in clip.model.parameters()} == {torch.float32}
    torch.testing.assert_close(
        clip.model.get_parameter("text_projection"),
        random.get_parameter("text_projection").to(dtype).float(),
    )
    assert answer.shape == (1, 80) and answer.sum().item() == pytest.approx(1, abs=1e-5)


def test_openais_tag_brings_its_own_activation():
    """RN50 of that name has GELU; OpenAI's weights of it were trained with QuickGELU."""
    assert _wants_quick_gelu("RN50", "openai")
    assert not _wants_quick_gelu("ViT-B-32", "laion2b_s34b_b79k")
    assert not _wants_quick_gelu("RN50", None)
    assert not _wants_quick_gelu("RN50", "/a/file.pt")
