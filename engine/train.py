"""The entry point: the only file that wires datasets, engine and store together.

python -m engine.train run       --store ROOT --run-id ID [--attempt N]
python -m engine.train evaluate  --store ROOT --run-id ID [--step N] [--model teacher]
python -m engine.train backbone  --store ROOT --run-id ID --out FILE.safetensors
python -m engine.train profile   --store ROOT --run-id ID [--steps N]

A run with schedule.processes = N starts N processes, the ranks, which all come here again.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import safetensors.torch
import torch

from engine import ranks
from engine.build import ModelName, Parts, build_parts, pick_device
from engine.checkpoint import (
    Checkpoint,
    CheckpointError,
    checkpoint_path,
    load_checkpoint,
    newest_usable,
)
from engine.evaluate import evaluate, everyones, judge, predict_dataset, write_results
from engine.label_post import FirstRecorder, Post, SendingRecorder
from engine.launcher import end_with_parent, leave_word, run_ranks
from engine.live import LiveChanges, SharedInbox
from engine.models.backbones import pretrained_state
from engine.models.condinst import CondInst
from engine.needs import refuse_missing_masks, warn_of_nothing
from engine.process import log_alone, log_to, stop_on_signals
from engine.profile import load_student, profile, profiled_config, watch_parts, watched_batches
from engine.recorder import Inbox, NoInbox, Recorder
from engine.timing import Stopwatch
from engine.trainer import Trainer, TrainingDiverged
from lab.analysis.judge import build_judge
from lab.analysis.watch import Watch
from lab.config import CondInstConfig, ConfigError, RunConfig, parse_stored_config
from lab.datasets.coco_file import DatasetError
from lab.datasets.load import LoadedData, load_dataset
from lab.store.asks import applied_changes
from lab.store.errors import RunNotFound, StoreError
from lab.store.inbox import StoreInbox
from lab.store.job_queue import end_if_unfinished
from lab.store.queries import checkpoints, get_run, scalar_series
from lab.store.recorder import StoreRecorder
from lab.store.runs import attach_datasets, claim_run, finish_run, rewind_run
from lab.store.store import Store

log = logging.getLogger("seglab")

BAD_INPUT = (ConfigError, DatasetError, CheckpointError, StoreError, RunNotFound)


@dataclass(frozen=True)
class Run:
    """A run in its store, ready to be worked on."""

    store: Store
    run_id: str
    config: RunConfig
    data: LoadedData

    @property
    def directory(self) -> Path:
        return self.store.run_directory(self.run_id)

    @property
    def checkpoints(self) -> Path:
        return self.directory / "checkpoints"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 = done, 1 = failed, 2 = bad input."""
    options = _parse(arguments)
    try:
        with Store.open(Path(options.store), read_only=_is_other_rank()) as store:
            return options.action(store, options)
    except BAD_INPUT as error:
        print(f"seglab: {error}", file=sys.stderr)  # noqa: T201
        return 2


def run_training(store: Store, options: argparse.Namespace) -> int:
    """Train the run from its newest checkpoint, or from nothing, to its end."""
    row = get_run(store, options.run_id)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until there is a trainer to ask
    if _is_other_rank():
        return _train_beside(store, row.run_id)
    try:
        if ranks.local_rank() is None and row.config["schedule"].get("processes", 1) > 1:
            return _train_on_ranks(store, row.run_id, row.config["schedule"], options.arguments)
        if ranks.local_rank() is not None:
            end_with_parent()
        claim_run(store, row.run_id, options.attempt)
        log_to(store.run_directory(row.run_id) / "log.txt")
        with ranks.joined(pick_device(_config(store, row.run_id))):
            return _train(store, row.run_id)
    except (*BAD_INPUT, ranks.RankLost) as error:
        log_alone(error)
        finish_run(store, row.run_id, "failed", str(error))
        raise
    except KeyboardInterrupt:
        reason = "stopped between steps, without a checkpoint"
        end_if_unfinished(store, row.run_id, "stopped", reason)
        return 0


def _train_on_ranks(
    store: Store, run_id: str, schedule: Mapping[str, Any], arguments: Sequence[str]
) -> int:
    """Start the ranks and wait for them; say how they ended where they could not."""
    ended = run_ranks(schedule["processes"], schedule["num_threads"], arguments)
    if ended.reason is None:
        return ended.code
    if get_run(store, run_id).status == "stopping":
        end_if_unfinished(store, run_id, "stopped", "killed on request")
        return 0
    finish_run(store, run_id, "failed", ended.reason)
    print(f"seglab: {ended.reason}", file=sys.stderr)  # noqa: T201
    return ended.code


def _train_beside(store: Store, run_id: str) -> int:
    """Be one of the ranks that rank 0 speaks for. Only what it cannot know is a failure here."""
    log.setLevel(logging.ERROR)
    end_with_parent()
    try:
        with ranks.joined(pick_device(_config(store, run_id))):
            return _train(store, run_id)
    except (*BAD_INPUT, KeyboardInterrupt, TrainingDiverged, ranks.RankLost, ranks.FirstFailed):
        return 0
    except Exception as error:
        leave_word(error)
        raise


def run_evaluation(store: Store, options: argparse.Namespace) -> int:
    """Evaluate a checkpoint on the validation images; print the metrics as JSON."""
    run = _open_run(store, get_run(store, options.run_id).run_id)
    checkpoint = _checkpoint_at(run, options.step)
    parts = build_parts(run.config, run.data, run.directory)
    weights = checkpoint.teacher if options.model == "teacher" else checkpoint.student
    parts.student.module.load_state_dict(weights)
    result = evaluate(parts.student, parts.validation(), run.data.val, "val", options.model)
    if options.out:
        write_results(Path(options.out), run.data.val, result.predictions)
    described = {"run_id": run.run_id, "step": checkpoint.step, **asdict(result.evaluation)}
    print(json.dumps(described, indent=2))  # noqa: T201
    return 0


def export_backbone(store: Store, options: argparse.Namespace) -> int:
    """Write backbone and pyramid of a run's newest checkpoint, as `backbone_weights` takes them."""
    run = _open_run(store, get_run(store, options.run_id).run_id)
    if not isinstance(run.config.host, CondInstConfig):
        raise ConfigError(
            f"run {run.run_id}: host.name = {run.config.host.name!r}: "
            "only condinst runs have a backbone and pyramid to write"
        )
    checkpoint = _checkpoint_at(run, None)
    network = CondInst(run.config.host, len(run.data.train.categories))
    network.load_state_dict(checkpoint.teacher)
    tensors = pretrained_state(network.backbone.body, network.pyramid)
    safetensors.torch.save_file(tensors, options.out)
    note = {"config": run.config.model_dump(mode="json"), "step": checkpoint.step}
    Path(options.out).with_suffix(".json").write_text(json.dumps(note, indent=2) + "\n")
    return 0


def profile_run(store: Store, options: argparse.Namespace) -> int:
    """Train a few steps as the run would after its burn-in; print where their time went as JSON.

    The run's newest checkpoint, if it has one, gives the student its weights: a trained teacher
    finds more than an untrained one.
    """
    run = _open_run(store, get_run(store, options.run_id).run_id)
    run = replace(run, config=profiled_config(run.config, options.steps))
    parts = build_parts(run.config, run.data, run.directory)
    checkpoint = newest_usable(run.checkpoints)
    if checkpoint:
        load_student(parts, checkpoint)
    _attach_images(run)
    stopwatch = Stopwatch(parts.device)
    with StoreRecorder(store, run.run_id, judge=build_judge(run.data.train)) as recorder:
        trainer = _trainer(run, watch_parts(parts, stopwatch), recorder)
        trainer.batches = watched_batches(trainer.batches, stopwatch)
        trainer.evaluate = lambda _: math.nan
        trainer.timer = stopwatch
        found = profile(trainer, stopwatch)
    print(json.dumps({**asdict(found), **_labels_per_image(run)}, indent=2))  # noqa: T201
    return 0


def _train(store: Store, run_id: str) -> int:
    with ranks.first_goes_first():
        run = _open_run(store, run_id)
        _refuse_other_ranks(run)
        refuse_missing_masks(run.config, run.data)
        warn_of_nothing(run.config, run.data)
    with ranks.first_goes_first():
        parts = build_parts(run.config, run.data, run.directory)
        checkpoint = _begin(run)
    with _recorder(run) as recorder, _inbox(run) as inbox:
        trainer = _trainer(run, parts, recorder, SharedInbox(inbox))
        if checkpoint:
            trainer.restore(checkpoint)
        stop_on_signals(trainer)
        log.info("training from step %d of %d", trainer.step, run.config.schedule.max_steps)
        try:
            status = trainer.run()
        except Exception as error:
            if _is_other_rank():
                raise
            log.exception("training failed at step %d", trainer.step)
            recorder.finish("failed", f"{type(error).__name__}: {error}")
            return 1
        recorder.finish(status)
        log.info("%s after %d of %d steps", status, trainer.step, run.config.schedule.max_steps)
    return 0


def _begin(run: Run) -> Checkpoint | None:
    """What the run goes on from; what it will do again is taken out of the store."""
    checkpoint = newest_usable(run.checkpoints, _recorded_checkpoints(run))
    start = checkpoint.step if checkpoint else 0
    _refuse_to_begin_again(run, start)
    if ranks.is_first():
        _attach_images(run)
        rewind_run(run.store, run.run_id, start)
    return checkpoint


def _recorded_checkpoints(run: Run) -> set[int]:
    """Steps whose past the store knows; that of a fork's parent is not its own."""
    recorded = {one.step for one in checkpoints(run.store, run.run_id)}
    forked_at = get_run(run.store, run.run_id).parent_step
    return recorded if forked_at is None else recorded | {forked_at}


@contextmanager
def _recorder(run: Run) -> Iterator[Recorder]:
    """Of rank 0, or of a run without ranks, the store's; the other ranks send their labels."""
    post = None if ranks.is_alone() else Post()
    if post and not ranks.is_first():
        with SendingRecorder(post) as recorder:
            yield recorder
        return
    with StoreRecorder(
        run.store,
        run.run_id,
        judge=build_judge(run.data.train),
        keep_every=run.config.record.keep * run.config.record.every,
        watch=Watch(run.store, run.run_id, log.warning),
        lossless=True,
    ) as recorder:
        yield FirstRecorder(recorder, post) if post else recorder


def _inbox(run: Run) -> AbstractContextManager[Inbox]:
    return StoreInbox(run.store, run.run_id) if ranks.is_first() else nullcontext(NoInbox())


def _is_other_rank() -> bool:
    """Whether this is one of the ranks that rank 0 speaks for."""
    return bool(ranks.local_rank())


def _refuse_other_ranks(run: Run) -> None:
    count, wanted = ranks.share().of, run.config.schedule.processes
    if count != wanted:
        raise ConfigError(
            f"run {run.run_id}: schedule.processes = {wanted}, but torchrun has started {count}"
        )


def _refuse_to_begin_again(run: Run, start: int) -> None:
    """A fork without a checkpoint would train its parent's part anew, with its own values."""
    row = get_run(run.store, run.run_id)
    if row.parent_step is not None and start < row.parent_step:
        raise CheckpointError(
            f"{run.checkpoints}: no checkpoint that can be read, and the run goes on from step "
            f"{row.parent_step} of run {row.parent_run_id}: fork it again"
        )


def _attach_images(run: Run) -> None:
    everything = (*run.data.train.images, *run.data.extra_unlabeled.images)
    attach_datasets(run.store, run.run_id, run.data.train.with_images(everything), run.data.val)


def _trainer(run: Run, parts: Parts, recorder: Recorder, inbox: Inbox | None = None) -> Trainer:
    def look_at_validation(done: int) -> float:
        return [_evaluated(run, parts, one, recorder, done) for one in parts.models_at(done)][-1]

    return Trainer(
        config=run.config,
        student=parts.student,
        teacher=parts.teacher,
        method=parts.method,
        optimizer=parts.optimizer,
        scaler=parts.scaler,
        recorder=recorder,
        device=parts.device,
        directory=run.checkpoints,
        batches=parts.batches,
        initial_weights=parts.initial_weights,
        evaluate=look_at_validation,
        probe=parts.probe,
        changes=LiveChanges(applied_changes(run.store, run.run_id), inbox),
    )


def _evaluated(run: Run, parts: Parts, model: ModelName, recorder: Recorder, done: int) -> float:
    """The network's AP, which only rank 0 works out; NaN on the others."""
    network = parts.teacher if model == "teacher" else parts.student
    predictions = everyones(predict_dataset(network, parts.validation()), run.data.val)
    if not ranks.is_first():
        return math.nan
    result = judge(predictions, run.data.val, "val", model)
    recorder.evaluation(done, result.evaluation)
    metrics = result.evaluation.metrics
    log.info("step %d: %s AP %.1f AP50 %.1f", done, model, metrics["AP"], metrics["AP50"])
    write_results(
        run.directory / "predictions" / f"val-{model}.json", run.data.val, result.predictions
    )
    return metrics["AP"]


def _labels_per_image(run: Run) -> dict[str, float | None]:
    """Mean numbers of pseudo-labels over the recorded steps; None where there is no teacher."""
    names = {"candidates": "pseudo/candidates", "kept": "pseudo/kept_per_image"}
    curves = scalar_series(run.store, run.run_id, list(names.values()))
    return {
        f"{short}_per_image": float(curves[name].values.mean())
        if len(curves[name].values)
        else None
        for short, name in names.items()
    }


def _checkpoint_at(run: Run, step: int | None) -> Checkpoint:
    if step is not None:
        return load_checkpoint(checkpoint_path(run.checkpoints, step), pick_device(run.config))
    found = newest_usable(run.checkpoints)
    if found is None:
        raise CheckpointError(f"{run.checkpoints}: the run has no checkpoint yet")
    return found


def _open_run(store: Store, run_id: str) -> Run:
    config = _config(store, run_id)
    torch.set_num_threads(config.schedule.num_threads)
    cv2.setNumThreads(config.schedule.num_threads)
    return Run(store, run_id, config, load_dataset(config.dataset, store.root / "datasets"))


def _config(store: Store, run_id: str) -> RunConfig:
    return parse_stored_config(get_run(store, run_id).config, run_id)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="python -m engine.train", description=__doc__)
    parser.set_defaults(arguments=given)
    verbs = parser.add_subparsers(required=True)
    for verb, action in (
        ("run", run_training),
        ("evaluate", run_evaluation),
        ("backbone", export_backbone),
        ("profile", profile_run),
    ):
        sub = verbs.add_parser(verb, help=action.__doc__)
        sub.set_defaults(action=action)
        sub.add_argument("--store", required=True)
        sub.add_argument("--run-id", required=True)
        if verb == "run":
            sub.add_argument("--attempt", type=int, help="set by the worker that starts it")
        if verb == "evaluate":
            sub.add_argument("--step", type=int, help="of a checkpoint; default: the newest")
            sub.add_argument("--model", choices=["teacher", "student"], default="teacher")
            sub.add_argument("--out", help="write predictions as COCO results")
            sub.add_argument("--json", action="store_true", help="the output is always JSON")
        if verb == "profile":
            sub.add_argument("--steps", type=int, default=30, help="how many are measured")
        if verb == "backbone":
            sub.add_argument("--out", required=True)
    return parser.parse_args(given)


if __name__ == "__main__":
    sys.exit(main())
