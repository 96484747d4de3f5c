"""The mask2former host: losses, predictions, and what a query that is not sure is taught."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from engine.instances import Predictions, Targets
from engine.models.mask2former import Mask2Former, Outputs
from engine.models.mask2former_parts import PRESETS, build_features
from engine.pseudo_labels.ema import copy_weights, update_ema
from lab.config import Mask2FormerConfig

SIZE = 64
FEATURES = torch.zeros(1, 1, 2, 2)
"""Where only logits are looked at."""
TINY = {"name": "mask2former", "preset": "tiny", "width": 8, "num_queries": 6, "num_points": 64}


def tiny(**changes: object) -> Mask2Former:
    torch.manual_seed(0)
    return Mask2Former(Mask2FormerConfig.model_validate(TINY | changes), num_classes=3)


@pytest.fixture(scope="module")
def network() -> Mask2Former:
    return tiny()


def target(*boxes: tuple[int, int, int, int], label: int = 1, masks: bool = True) -> Targets:
    drawn = torch.zeros(len(boxes), SIZE, SIZE, dtype=torch.bool)
    for row, (x1, y1, x2, y2) in enumerate(boxes):
        drawn[row, y1:y2, x1:x2] = True
    return Targets(
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.full((len(boxes),), label),
        masks=drawn if masks else None,
    )


def test_losses_are_finite_and_reach_every_parameter(network):
    network.train()
    network.zero_grad()
    images = torch.rand(2, 3, SIZE, SIZE)

    losses = network.losses(images, [target((8, 8, 40, 40), (30, 30, 60, 60)), target()])
    sum(losses.values()).backward()

    assert set(losses) == {"class", "mask", "dice", "aux"}
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


def test_an_untrained_networks_losses_are_what_chance_says(network):
    """CE near 2 ln 4 over 3 classes and none, BCE near 5 ln 2, dice near 5 * 0.5; 3 more layers."""
    network.eval()
    torch.manual_seed(0)

    losses = network.losses(torch.rand(2, 3, SIZE, SIZE), [target((0, 0, 64, 32))] * 2)

    assert losses["class"].item() == pytest.approx(2.77, abs=1.5)
    assert losses["mask"].item() == pytest.approx(3.47, abs=2.0)
    assert losses["dice"].item() == pytest.approx(2.5, abs=1.0)
    assert losses["aux"].item() > 2 * losses["mask"].item()


def test_a_batch_without_objects_teaches_no_object_and_keeps_its_graph(network):
    network.train()
    network.zero_grad()
    losses = network.losses(torch.rand(2, 3, SIZE, SIZE), [target(), target()])
    sum(losses.values()).backward()

    assert losses["mask"].item() == losses["dice"].item() == 0
    assert losses["class"].item() > 0
    mask_head = network.transformer.decoder.mask_predictor.mask_embedder
    assert all(p.grad is not None and not p.grad.any() for p in mask_head.parameters())


def test_more_objects_than_queries_are_no_error(network):
    boxes = [(x, y, x + 8, y + 8) for x in (0, 16, 32) for y in (0, 16, 32)]

    losses = network.losses(torch.rand(1, 3, SIZE, SIZE), [target(*boxes)])

    assert all(torch.isfinite(loss) for loss in losses.values())


def test_boxes_alone_are_refused(network):
    with pytest.raises(ValueError, match="a target without masks"):
        network.losses(torch.rand(1, 3, SIZE, SIZE), [target((8, 8, 40, 40), masks=False)])


def same_draws(network: Mask2Former, *arguments: object) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return network.losses(*arguments)


def test_an_instance_of_weight_zero_teaches_no_mask(network):
    network.eval()
    images, plain = torch.rand(1, 3, SIZE, SIZE), target((8, 8, 40, 40))

    def losses(weight: float) -> dict[str, torch.Tensor]:
        weighted = Targets(plain.boxes, plain.labels, plain.masks, None, torch.tensor([weight]))
        return same_draws(network, images, [weighted])

    for name in ("mask", "dice"):
        assert losses(0.0)[name].item() == 0
        assert losses(0.5)[name].item() == pytest.approx(0.5 * losses(1.0)[name].item(), rel=1e-5)
    torch.testing.assert_close(losses(0.0)["class"], losses(1.0)["class"])


def test_pixel_weights_of_one_half_halve_the_mask_loss_only(network):
    network.eval()
    images, plain = torch.rand(2, 3, SIZE, SIZE), target((8, 8, 40, 40))
    half = Targets(plain.boxes, plain.labels, plain.masks, torch.full((1, SIZE, SIZE), 0.5))
    full = Targets(plain.boxes, plain.labels, plain.masks, torch.ones(1, SIZE, SIZE))

    usual = same_draws(network, images, [plain, plain])
    halved, mixed = (same_draws(network, images, [half, other]) for other in (half, plain))

    # Points within half a pixel of the border see a little of the 0 outside.
    assert halved["mask"].item() == pytest.approx(0.5 * usual["mask"].item(), rel=0.02)
    torch.testing.assert_close(halved["dice"], usual["dice"])
    assert halved["mask"] < mixed["mask"] < usual["mask"]
    ones = same_draws(network, images, [full, full])
    assert ones["mask"].item() == pytest.approx(usual["mask"].item(), rel=0.02)


def test_predictions_come_best_first_at_input_resolution(network):
    network.eval()
    images = torch.rand(2, 3, SIZE, 2 * SIZE)
    pseudo_labels = network.predict(images, one_class_each=True)

    for found, best in zip(network.predict(images), pseudo_labels, strict=True):
        assert len(found) == 18, "6 queries under 3 classes each"
        assert found.mask_logits.shape == (18, SIZE, 2 * SIZE)
        assert (found.scores.diff() <= 1e-6).all()
        assert ((found.scores >= 0) & (found.scores <= found.class_quality)).all()
        assert len(best) == 6, "a pseudo-label has one class"
        own = found[found.labels == found.class_logits.argmax(dim=1)]
        torch.testing.assert_close(vars(best), vars(own))


def answer(network: Mask2Former, out: Outputs, size: int) -> Predictions:
    """What `predict` makes of given outputs."""
    network.forward = lambda images: out  # pyright: ignore
    try:
        return network.predict(torch.zeros(1, 3, size, size))[0]
    finally:
        del network.forward


def test_scores_follow_the_worked_examples(network):
    """A1: softmax over C + 1 gives 0.710100; A2: mask quality 0.751628; their product 0.533731."""
    classes = torch.tensor([2.0, 0.5, -1.0, 0.0]).view(1, 1, 1, 4)
    masks = torch.tensor([[2.0, -1.0], [0.5, -0.2]]).view(1, 1, 2, 2)

    found = answer(network, Outputs(classes, (masks,), FEATURES), 2)

    assert found.labels.tolist() == [0, 1, 2]
    assert found.class_quality[0].item() == pytest.approx(0.710100, abs=1e-6)
    assert found.scores[0].item() == pytest.approx(0.533731, abs=1e-6)
    assert found.boxes[0].tolist() == [0, 0, 1, 2]
    assert found.class_logits[0].tolist() == [2.0, 0.5, -1.0]


def test_a_query_without_a_mask_has_score_and_box_zero(network):
    classes, masks = torch.zeros(1, 1, 1, 4), torch.full((1, 1, 2, 2), -1.0)

    found = answer(network, Outputs(classes, (masks,), FEATURES), 2)

    assert found.scores.tolist() == [0.0] * 3 and not found.boxes.any()


def test_no_more_than_the_wanted_pairs_are_given():
    network = tiny(max_detections=4).eval()

    assert len(network.predict(torch.rand(1, 3, SIZE, SIZE))[0]) == 4


def test_what_is_doubtful_is_not_taught_to_be_background(network):
    """The whole image in doubt: no query with a mask is taught that it found nothing."""
    network.eval()
    images, nothing = torch.rand(1, 3, SIZE, SIZE), [target()]

    def class_loss(*boxes: list[float]) -> float:
        doubtful = [torch.tensor(boxes).reshape(-1, 4)]
        losses = same_draws(network, images, nothing, doubtful)
        return (losses["class"] + losses["aux"]).item()

    everything = same_draws(network, images, nothing)
    total = (everything["class"] + everything["aux"]).item()
    assert class_loss([0.0, 0.0, 64.0, 64.0]) < total
    assert class_loss() == pytest.approx(total)
    assert class_loss([0.0, 0.0, 0.0, 0.0]) == pytest.approx(total)


def test_boxes_of_images_with_different_numbers_of_doubts_are_told_apart(network):
    images, doubtful = torch.rand(2, 3, SIZE, SIZE), [torch.zeros(0, 4), torch.rand(3, 4)]

    losses = network.losses(images, [target((8, 8, 40, 40))] * 2, doubtful)

    assert all(torch.isfinite(loss) for loss in losses.values())


def test_training_mode_leaves_the_encoder_alone(network):
    """It has no dropout; in training mode it would only wait for the device."""
    network.train()

    assert network.training and network.backbone.training
    assert not any(m.training for m in network.pixel_decoder.encoder.modules())


def test_a_frozen_backbone_has_no_gradient_and_a_pretrained_one_frozen_norms():
    host = Mask2FormerConfig(name="mask2former", backbone_weights="r50.pth", freeze_stages=5)

    features = build_features(host, PRESETS["r50"])

    assert not any(p.requires_grad for p in features.parameters())
    assert isinstance(features.body.get_submodule("bn1"), FrozenBatchNorm2d)
    random = build_features(Mask2FormerConfig(name="mask2former"), PRESETS["r50"])
    assert not any(isinstance(m, FrozenBatchNorm2d) for m in random.modules())


def test_swin_stages_can_be_frozen():
    with torch.device("meta"):
        network = Mask2Former(
            Mask2FormerConfig(name="mask2former", preset="swin_t", freeze_stages=2), 8
        )

    swin = network.backbone.body.get_submodule("swin")
    frozen = {
        n.split(".layers.")[-1][:1] for n, p in swin.named_parameters() if not p.requires_grad
    }
    assert frozen == {"e", "0"}, "the embeddings and the first stage"


def test_presets_say_what_the_paper_says():
    assert [PRESETS[name].num_queries for name in ("r50", "swin_b", "swin_l")] == [100, 100, 200]
    assert PRESETS["r101"].num_points == 12544 and PRESETS["swin_t"].decoder_layers == 9
    deep = tiny(decoder_layers=5)
    assert len(deep(torch.rand(1, 3, SIZE, SIZE)).mask_logits) == 6


def test_the_teacher_follows_every_weight_and_counter(network):
    student, teacher = tiny(), tiny()
    student.train()
    student.losses(torch.rand(2, 3, SIZE, SIZE), [target((8, 8, 40, 40))] * 2)
    copy_weights(teacher, student)
    update_ema(teacher, student, 0.5)

    counter = teacher.backbone.body.get_buffer("bn1.num_batches_tracked")
    assert counter.item() == 1
    for (name, old), new in zip(
        teacher.state_dict().items(), student.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(old, new, msg=name)


def test_a_network_overfits_one_image():
    network = tiny().train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    images = torch.zeros(2, 3, SIZE, SIZE)
    images[:, :, 16:48, 16:48] = 1.0
    wanted = [target((16, 16, 48, 48), label=2)] * 2

    for _ in range(60):
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
