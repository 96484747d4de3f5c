"""Config -> objects. A `match` ending in assert_never: a config without a case is a type error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, assert_never

import torch
from torch import Tensor

from engine import ranks
from engine.box_host import BoxHost
from engine.data.depth import refuse_wrong_sizes, warn_without_depth
from engine.data.loading import EvalBatch, EvalLoader, TrainLoader
from engine.interfaces import Batch, Candidates, Method, Segmenter
from engine.methods.boxinst import BoxInst
from engine.methods.boxseg import BoxSeg
from engine.methods.boxteacher import BoxTeacher
from engine.methods.guided_distillation import GuidedDistillation
from engine.methods.pl_dc import PlDc
from engine.methods.pseudo_depth import PseudoDepth
from engine.methods.sim import Sim
from engine.methods.supervised import Supervised
from engine.models.condinst import CondInst
from engine.models.shared_norm import share_batch_norm
from engine.optimization import build_optimizer
from engine.pseudo_labels.candidates import survey
from lab.config import (
    BoxInstConfig,
    BoxMethodConfig,
    BoxSegConfig,
    BoxTeacherConfig,
    CondInstConfig,
    ConfigError,
    GuidedDistillationConfig,
    Mask2FormerConfig,
    MaskTeacherConfig,
    PlDcConfig,
    PseudoDepthConfig,
    RunConfig,
    SimConfig,
    SupervisedConfig,
    ViewConfig,
)
from lab.datasets.load import LoadedData
from lab.datasets.records import Dataset, LabelSource
from lab.datasets.splits import apply_split, split_labeled
from lab.datasets.weaken import boxes_only

ModelName = Literal["student", "teacher"]


@dataclass(frozen=True)
class TrainingImages:
    """The images of a run by what may be known of them."""

    labeled: Dataset
    """Of a box-supervised run: all of them, without masks."""
    unlabeled: Dataset
    """Without annotations: nothing downstream can see their truth."""

    @classmethod
    def of(cls, config: RunConfig, data: LoadedData) -> TrainingImages:
        if isinstance(config.method, BoxMethodConfig):
            return cls(boxes_only(data.train), data.train.with_images([]))
        split = split_labeled(data.train, config.split.labeled_fraction, config.split.seed)
        labeled, rest = apply_split(data.train, split)
        others = (*rest.images, *data.extra_unlabeled.images)
        return cls(labeled, rest.with_images([one.without_annotations() for one in others]))

    def probes(self, count: int) -> Dataset:
        """The images that are predicted again and again: unlabelled ones where there are any.

        Never validation images: an id of theirs may be that of a training image, by whose truth the
        label would be judged.
        """
        pool = self.unlabeled if self.unlabeled.images else self.labeled
        return pool.with_images(pool.images[:count])


@dataclass(frozen=True)
class Parts:
    """What a trainer is put together from. The networks are on the device."""

    config: RunConfig
    data: LoadedData
    device: torch.device
    student: Segmenter
    teacher: Segmenter
    method: Method
    loader: TrainLoader
    images: TrainingImages

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        return build_optimizer(self.student.module, self.config.schedule)

    @cached_property
    def scaler(self) -> torch.amp.GradScaler:
        return torch.amp.GradScaler(self.device.type, enabled=self.config.schedule.amp == "fp16")

    def batches(self, start: int) -> Iterable[Batch]:
        return self.loader.batches(start)

    def initial_weights(self) -> Mapping[str, Tensor]:
        return build_segmenter(self.config, self.loader.num_classes).module.state_dict()

    def validation(self) -> Iterable[EvalBatch]:
        return self._validation_loader

    def models_at(self, done: int) -> list[ModelName]:
        """The networks that exist after `done` steps, the one to report last."""
        begins = self.method.teacher_from
        return ["student", "teacher"] if begins is None or done > begins else ["student"]

    def probe(self, done: int, method: Method) -> list[Candidates]:
        """What the networks see in the probe images, judged as the method judges labels now."""
        found: list[Candidates] = []
        for model in self.models_at(done):
            source = LabelSource.PROBE_TEACHER if model == "teacher" else LabelSource.PROBE_STUDENT
            network = self.teacher if model == "teacher" else self.student
            found += self._seen_by(network, source, method)
        return found

    def _seen_by(self, network: Segmenter, source: LabelSource, method: Method) -> list[Candidates]:
        was_training = network.module.training
        network.module.eval()
        found = [
            method.judge(survey(predictions, geometry, image_id, source))
            for batch in self._probe_loader
            for predictions, geometry, image_id in zip(
                network.predict(batch.images, one_class_each=True),
                batch.geometry,
                batch.image_ids,
                strict=True,
            )
        ]
        network.module.train(was_training)
        return found

    @cached_property
    def _validation_loader(self) -> EvalLoader:
        return self._eval_loader(self.data.val)

    @cached_property
    def _probe_loader(self) -> EvalLoader:
        return self._eval_loader(self.images.probes(self.config.record.probe_images))

    def _eval_loader(self, dataset: Dataset) -> EvalLoader:
        schedule = self.config.schedule
        size = max(1, schedule.labeled_batch // ranks.share().of)
        view, short_side = self.config.view, self.config.view.eval_short_side
        longest = view.eval_size if short_side is None else view.max_side
        share = ranks.share()
        return EvalLoader(dataset, longest, size, self.device, short_side=short_side, share=share)


def build_parts(config: RunConfig, data: LoadedData, directory: Path) -> Parts:
    """Networks, method and loaders of a run; `directory` keeps what it trains besides."""
    device = pick_device(config)
    images = TrainingImages.of(config, data)
    student = _placed(build_segmenter(config, len(data.train.categories)), config, device)
    teacher = _placed(build_segmenter(config, len(data.train.categories)), config, device)
    student.module.train()
    teacher.module.eval().requires_grad_(False)
    method = build_method(config, student, teacher, images.labeled, directory)
    loader = TrainLoader(
        labeled=images.labeled,
        unlabeled=images.unlabeled,
        view=_method_view(config),
        schedule=config.schedule,
        seed=config.seed,
        device=device,
        unlabeled_from=method.unlabeled_from,
        share=ranks.share(),
        strong_labeled=_sees_strong_labeled(config),
        with_depth=isinstance(config.method, PseudoDepthConfig),
    )
    return Parts(config, data, device, student, teacher, method, loader, images)


def build_segmenter(config: RunConfig, num_classes: int) -> Segmenter:
    """The host with its initial weights: a function of config and seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        match config.host:
            case CondInstConfig():
                return CondInst(config.host, num_classes)
            case Mask2FormerConfig():
                # Its library takes seconds to import: nobody else waits for it.
                from engine.models.mask2former import Mask2Former

                return Mask2Former(config.host, num_classes)
    assert_never(config.host)


def build_method(
    config: RunConfig,
    student: Segmenter,
    teacher: Segmenter,
    labeled: Dataset,
    directory: Path,
) -> Method:
    method = config.method
    match method:
        case SupervisedConfig():
            return Supervised(method, student, teacher)
        case GuidedDistillationConfig():
            return GuidedDistillation(method, student, teacher)
        case PlDcConfig():
            corrector = None
            if method.dicc:
                # As above: open_clip takes seconds to import.
                from engine.models.clip import build_corrector

                device = pick_device(config)
                corrector = build_corrector(
                    method.clip, labeled, directory / "clip.safetensors", config.seed, device
                )
            return PlDc(method, student, teacher, corrector, config.schedule.max_steps)
        case BoxInstConfig():
            return BoxInst(method, _box_host(student, config), teacher)
        case BoxTeacherConfig():
            hosts = _box_host(student, config), _box_host(teacher, config)
            return BoxTeacher(method, *hosts, config.view.max_side)
        case BoxSegConfig():
            hosts = _box_host(student, config), _box_host(teacher, config)
            return BoxSeg(method, *hosts, config.view.max_side)
        case PseudoDepthConfig():
            refuse_wrong_sizes(labeled)
            warn_without_depth(labeled)
            hosts = _box_host(student, config), _box_host(teacher, config)
            return PseudoDepth(method, *hosts, config.view.max_side)
        case SimConfig():
            return Sim(method, _box_host(student, config), _box_host(teacher, config))
    assert_never(method)


def _box_host(network: Segmenter, config: RunConfig) -> BoxHost:
    if isinstance(network, BoxHost):
        return network
    raise ConfigError(
        f"method {config.method.name}: host {config.host.name} cannot learn masks from boxes; "
        'take host.name = "condinst" or "mask2former"'
    )


def pick_device(config: RunConfig) -> torch.device:
    """Of several processes that train together, each has a GPU of its own.

    Raises:
        ConfigError: when there are too few GPUs for that.
    """
    name = config.schedule.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    place = ranks.local_rank()
    if name != "cuda" or place is None:
        return torch.device(name)
    if config.schedule.processes > torch.cuda.device_count():
        raise ConfigError(
            f"schedule.processes = {config.schedule.processes}: every process needs a GPU of its "
            f'own, and there are {torch.cuda.device_count()}; schedule.device = "cpu" needs none'
        )
    return torch.device("cuda", place)


def _placed(network: Segmenter, config: RunConfig, device: torch.device) -> Segmenter:
    if not ranks.is_alone():
        share_batch_norm(network.module)
    module = network.module.to(device)
    if config.schedule.channels_last:
        module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    if config.schedule.compile:
        module.compile()
    return network


def _method_view(config: RunConfig) -> ViewConfig:
    """These papers' strong view has no erasing unless their config says so."""
    method = config.method
    if not isinstance(method, GuidedDistillationConfig | MaskTeacherConfig) or method.erasing:
        return config.view
    return config.view.model_copy(
        update={"strong": config.view.strong.model_copy(update={"erasing": False})}
    )


def _sees_strong_labeled(config: RunConfig) -> bool:
    match config.method:
        case SupervisedConfig(strong_views=strong_views):
            return strong_views
        case GuidedDistillationConfig() | BoxInstConfig() | PseudoDepthConfig() | SimConfig():
            return False
        case PlDcConfig() | BoxTeacherConfig() | BoxSegConfig():
            return True
    assert_never(config.method)
