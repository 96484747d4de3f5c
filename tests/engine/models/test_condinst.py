"""CondInst: parameter counts, the dynamic head against a plain loop, losses and predictions."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet50
from torchvision.ops import FrozenBatchNorm2d

from engine.checkpoint import CheckpointError
from engine.instances import Targets
from engine.models.backbones import pretrained_state
from engine.models.condinst import CondInst
from engine.models.dynamic_head import (
    dynamic_masks,
    parameter_count,
    relative_coordinates,
    split_parameters,
)
from lab.config import CondInstConfig

SIZE = 64


@pytest.fixture(scope="module")
def network() -> CondInst:
    torch.manual_seed(0)
    return CondInst(CondInstConfig(width=8), num_classes=3)


def target(*boxes: tuple[int, int, int, int], label: int = 1, masks: bool = True) -> Targets:
    drawn = torch.zeros(len(boxes), SIZE, SIZE, dtype=torch.bool)
    for row, (x1, y1, x2, y2) in enumerate(boxes):
        drawn[row, y1:y2, x1:x2] = True
    return Targets(
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.full((len(boxes),), label),
        masks=drawn if masks else None,
    )


def test_the_mask_head_has_the_papers_number_of_parameters():
    assert parameter_count(8) == 169
    assert parameter_count(16) == 233


def test_the_batched_head_equals_one_small_network_per_instance():
    features = torch.randn(2, 8, 4, 5)
    parameters = torch.randn(3, 169)
    image_index = torch.tensor([1, 0, 1])
    points, sizes = torch.tensor([[4.0, 4.0], [20.0, 12.0], [36.0, 28.0]]), torch.full((3,), 64.0)

    logits = dynamic_masks(features, image_index, parameters, points, sizes, stride=8)

    coordinates = relative_coordinates(points, sizes, 4, 5, 8)
    for row in range(3):
        x = torch.cat([coordinates[row].reshape(2, 4, 5), features[image_index[row]]])[None]
        layers = [(w[row], b[row, :, 0]) for w, b in split_parameters(parameters, 8)]
        for weight, bias in layers[:-1]:
            x = nn.functional.conv2d(x, weight[:, :, None, None], bias).relu()
        weight, bias = layers[-1]
        x = nn.functional.conv2d(x, weight[:, :, None, None], bias)
        expected = nn.functional.interpolate(x, scale_factor=2, mode="bilinear")[0, 0]
        torch.testing.assert_close(logits[row], expected, atol=1e-5, rtol=1e-5)


def test_relative_coordinates_are_location_minus_pixel_over_size():
    """Pixel (0, 0) of a stride-8 map lies at (4, 4): (20 - 4) / 64 and (12 - 4) / 64."""
    coordinates = relative_coordinates(torch.tensor([[20.0, 12.0]]), torch.tensor([64.0]), 2, 2, 8)

    assert coordinates[0, :, 0].tolist() == [0.25, 0.125]
    assert coordinates[0, :, 3].tolist() == [0.125, 0.0]


def test_losses_are_finite_and_reach_every_parameter(network):
    network.train()
    images = torch.rand(2, 3, SIZE, SIZE)

    losses = network.losses(images, [target((8, 8, 40, 40), (30, 30, 60, 60)), target()])
    sum(losses.values()).backward()

    assert set(losses) == {"class", "box", "center", "mask"}
    assert all(torch.isfinite(loss) for loss in losses.values())
    unreached = [n for n, p in network.named_parameters() if p.grad is None]
    assert unreached == []


def test_a_batch_without_objects_still_has_a_gradient(network):
    network.zero_grad()
    losses = network.losses(torch.rand(2, 3, SIZE, SIZE), [target(), target()])
    sum(losses.values()).backward()

    assert losses["box"].item() == losses["center"].item() == losses["mask"].item() == 0
    assert losses["class"].item() > 0
    assert network.mask_branch.out.weight.grad is not None


def test_boxes_alone_give_no_mask_loss(network):
    losses = network.losses(torch.rand(1, 3, SIZE, SIZE), [target((8, 8, 40, 40), masks=False)])

    assert set(losses) == {"class", "box", "center"}


def test_an_instance_of_weight_zero_teaches_no_mask(network):
    """Halving every instance weight halves the mask loss; zero removes it."""
    network.eval()
    images, plain = torch.rand(1, 3, SIZE, SIZE), target((8, 8, 40, 40))

    def mask_loss(weight: float) -> float:
        weighted = Targets(plain.boxes, plain.labels, plain.masks, None, torch.tensor([weight]))
        return network.losses(images, [weighted])["mask"].item()

    assert mask_loss(0.0) == 0
    assert mask_loss(0.5) == pytest.approx(0.5 * mask_loss(1.0), rel=1e-5)


def test_pixel_weights_of_one_image_leave_the_other_alone(network):
    network.eval()
    images, plain = torch.rand(2, 3, SIZE, SIZE), target((8, 8, 40, 40))
    ones = Targets(plain.boxes, plain.labels, plain.masks, torch.ones(1, SIZE, SIZE))

    weighted = network.losses(images, [ones, plain])["mask"]

    torch.testing.assert_close(weighted, network.losses(images, [plain, plain])["mask"])


def test_predictions_come_best_first_at_input_resolution(network):
    network.eval()
    images = torch.rand(2, 3, SIZE, 2 * SIZE)

    for found in network.predict(images):
        assert found.mask_logits.shape == (len(found), SIZE, 2 * SIZE)
        assert found.class_logits.shape == (len(found), 3)
        assert (found.scores.diff() <= 1e-6).all()
        chosen = found.class_logits.sigmoid().gather(1, found.labels[:, None])[:, 0]
        torch.testing.assert_close(chosen, found.class_quality)


def test_an_object_predicted_under_two_classes_is_one_candidate_for_pseudo_labels():
    torch.manual_seed(0)
    network = CondInst(CondInstConfig(width=8, score_floor=0.001), num_classes=3).eval()
    images = torch.rand(2, 3, SIZE, SIZE)
    pseudo_labels = network.predict(images, one_class_each=True)

    for found, best in zip(network.predict(images), pseudo_labels, strict=True):
        own = found.labels == found.class_logits.argmax(dim=1)
        assert 0 < own.sum() < len(found)
        torch.testing.assert_close(vars(best), vars(found[own]))


def test_an_image_in_which_nothing_is_found_gives_an_empty_prediction():
    torch.manual_seed(0)
    silent = CondInst(CondInstConfig(width=8, score_floor=0.99), num_classes=3).eval()

    (found,) = silent.predict(torch.rand(1, 3, SIZE, SIZE))

    assert len(found) == 0
    assert found.mask_logits.shape == (0, SIZE, SIZE)


def test_the_papers_preset_has_five_levels_and_frozen_stages_stay():
    network = CondInst(CondInstConfig(preset="r50", freeze_stages=5), num_classes=80)

    trainable = {n.split(".")[0] for n, p in network.named_parameters() if p.requires_grad}
    out = network(torch.rand(1, 3, 128, 128))

    assert trainable == {"pyramid", "head", "mask_branch"}
    # 16*16 + 8*8 + 4*4 + 2*2 + 1 locations at strides 8 to 128.
    assert out.class_logits.shape == (1, 341, 80)


def test_a_network_overfits_one_image(network):
    torch.manual_seed(0)
    network = CondInst(CondInstConfig(width=8), num_classes=3).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-4)
    images = torch.zeros(2, 3, SIZE, SIZE)
    images[:, :, 16:48, 16:48] = 1.0
    wanted = [target((16, 16, 48, 48), label=2)] * 2

    for _ in range(80):
        optimizer.zero_grad()
        sum(network.losses(images, wanted).values()).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
    network.eval()
    found = network.predict(images)[0]

    overlap = (found.mask_logits[0] > 0) & wanted[0].masks[0]
    union = (found.mask_logits[0] > 0) | wanted[0].masks[0]
    assert found.labels[0] == 2
    assert overlap.sum() / union.sum() > 0.8


def test_a_backbone_that_was_written_is_read_back(tmp_path):
    source = CondInst(CondInstConfig(width=8), num_classes=3)
    path = tmp_path / "backbone.safetensors"
    save_file(pretrained_state(source.backbone.body, source.pyramid), path)

    copy = CondInst(CondInstConfig(width=8, backbone_weights=str(path)), num_classes=5)

    for part in ("backbone", "pyramid"):
        for name, tensor in source.get_submodule(part).state_dict().items():
            torch.testing.assert_close(
                copy.get_submodule(part).state_dict()[name], tensor, atol=1e-3, rtol=1e-3
            )


def test_a_backbone_of_another_width_is_refused_with_its_name(tmp_path):
    source = CondInst(CondInstConfig(width=8), num_classes=3)
    path = tmp_path / "narrow.safetensors"
    save_file(pretrained_state(source.backbone.body, source.pyramid), path)

    with pytest.raises(CheckpointError, match=r"narrow\.safetensors: does not fit"):
        CondInst(CondInstConfig(width=16, backbone_weights=str(path)), num_classes=3)


def test_a_classifiers_weights_fit_in_torchvisions_names(tmp_path):
    """A torchvision ResNet-50 checkpoint, its classifier left out."""
    path = tmp_path / "resnet50.pth"
    torch.save(resnet50().state_dict(), path)

    network = CondInst(CondInstConfig(preset="r50", backbone_weights=str(path)), num_classes=2)

    assert isinstance(network.backbone.body.get_submodule("bn1"), FrozenBatchNorm2d)


def test_what_is_doubtful_is_not_taught_to_be_background(network):
    """The class loss of an empty image without its doubtful places is smaller, never larger."""
    network.eval()
    images, nothing = torch.rand(1, 3, SIZE, SIZE), [target()]

    def class_loss(*boxes: list[float]) -> float:
        doubtful = [torch.tensor(boxes).reshape(-1, 4)]
        return network.losses(images, nothing, doubtful)["class"].item()

    everything = network.losses(images, nothing)["class"].item()
    assert class_loss([16.0, 16.0, 48.0, 48.0]) < everything
    assert class_loss() == pytest.approx(everything)
    assert class_loss([0.0, 0.0, 0.0, 0.0]) == pytest.approx(everything)


def test_a_doubtful_place_that_holds_a_target_is_still_taught(network):
    network.eval()
    images, wanted = torch.rand(1, 3, SIZE, SIZE), [target((16, 16, 48, 48))]
    inside = [torch.tensor([[16.0, 16.0, 48.0, 48.0]])]

    same = network.losses(images, wanted, inside)

    torch.testing.assert_close(same["class"], network.losses(images, wanted)["class"])
