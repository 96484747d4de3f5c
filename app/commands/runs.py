"""`seglab runs` and `seglab show`: which runs exist, and what one of them is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from app.commands.mask_report import in_words, report_lately
from app.commands.options import Json, RunKey, StoreRoot, open_reader
from app.commands.terminal import (
    duration,
    kind_name,
    note,
    number,
    percent,
    say,
    say_json,
    say_table,
)
from app.selections import Selection, labels_page, selections
from lab.analysis.alerts import Alert
from lab.analysis.watch import run_alerts, standing_alerts
from lab.config import AppliedChange, RunConfig, flatten
from lab.datasets.records import ErrorKind
from lab.store.asks import applied_changes
from lab.store.lately import LATELY_STEPS
from lab.store.queries import (
    EvaluationRow,
    RunRow,
    StepSummary,
    checkpoints,
    evaluations,
    get_run,
    list_runs,
    step_summaries,
)
from lab.store.store import Store

MARKS = {
    "kept_collapse": "kept fell",
    "unsup_zero": "nothing kept",
    "class_starves": "class starves",
    "teacher_behind": "teacher behind",
    "quality_blind": "quality blind",
}
KINDS = (ErrorKind.COR, ErrorKind.LOC, ErrorKind.SIM, ErrorKind.OTH, ErrorKind.BG)


def runs(store_root: StoreRoot = None, json: Json = False) -> None:
    """List the runs of the store, newest first."""
    with open_reader(store_root) as store:
        rows = list_runs(store)
        alerts = standing_alerts(store)
    if json:
        say_json([asdict(row) | {"alerts": alerts.get(row.run_id, [])} for row in rows])
    elif not rows:
        note("no runs yet: seglab demo, or seglab train experiments/shapes_demo.toml")
    else:
        headings = ["run", "name", "method", "status", "step", "AP", "kept/image", "precision"]
        if alerts:
            headings.append("alerts")
        lines = [(*_line(row), alert_marks(alerts.get(row.run_id, []))) for row in rows]
        say_table(headings, [line[: len(headings)] for line in lines], words=4)
        if any(row.lately for row in rows):
            note(
                "AP: the best, the teacher's where there is one; kept/image and precision: over "
                f"the last {LATELY_STEPS} recorded steps of a run"
            )


def show(run: RunKey, store_root: StoreRoot = None, json: Json = False) -> None:
    """Show one run: its state, its scores, what it changed in the config, where its files are."""
    with open_reader(store_root) as store:
        row = get_run(store, run)
        scores = evaluations(store, row.run_id)
        summaries = step_summaries(store, row.run_id)
        files = _files(store, row.run_id)
        alerts = run_alerts(store, row.run_id)
        changes = applied_changes(store, row.run_id)
        masks = report_lately(store, row.run_id)
        picked = selections(store, row.run_id)
    last = summaries[-1] if summaries else None
    if json:
        answer = {"run": row, "evaluations": scores, "last_summary": last, "files": files}
        say_json(
            answer
            | {"alerts": alerts, "applied": changes, "masks_lately": masks, "selections": picked}
        )
        return
    _say_state(row)
    for alert in alerts:
        say(f"alert: {alert.sentence}")
    _say_scores(scores)
    if last is not None:
        say()
        say(_summary_in_words(last))
    if masks is not None:
        say(in_words(masks))
    _say_pairs("changed in the config", changed_values(row.config))
    _say_pairs("changed while it trained", _changes_in_words(changes))
    _say_pairs("selected labels", _selections_in_words(row.run_id, picked))
    _say_pairs("files", {name: str(path) for name, path in files.items()})


def alert_marks(alerts: Sequence[Alert]) -> str:
    """A few words for a cell: each kind of alarm once, with its number when there are several."""
    kinds = Counter(alert.kind for alert in alerts)
    return ", ".join(
        MARKS[kind] if count == 1 else f"{count} x {MARKS[kind]}" for kind, count in kinds.items()
    )


def changed_values(config: dict[str, Any]) -> dict[str, Any]:
    """Dotted keys whose value is not the default one, of the same method and dataset source."""
    known = flatten(RunConfig().model_dump(mode="json"))
    flat = flatten(config)
    return {key: value for key, value in flat.items() if key not in known or known[key] != value}


def _line(row: RunRow) -> tuple[object, ...]:
    return (
        row.run_id,
        row.name,
        row.method,
        row.status,
        f"{row.done}/{row.max_steps}",
        number(row.best_ap),
        number(row.lately and row.lately.kept_per_image),
        percent(row.lately and row.lately.precision),
    )


def _say_state(row: RunRow) -> None:
    say(f"{row.name}  {row.run_id}")
    say(f"{row.method} on {row.host}, {row.dataset}")
    say(f"{row.status}, step {row.done}/{row.max_steps}")
    say(f"created {datetime.fromtimestamp(row.created).astimezone():%Y-%m-%d %H:%M:%S %z}")
    if row.started is not None and row.finished is not None:
        say(f"trained for {duration(row.finished - row.started)}")
    if row.parent_run_id is not None:
        say(f"forked from {row.parent_run_id} at step {row.parent_step}")
    if row.error:
        say(f"error: {row.error}")


def _say_scores(scores: list[EvaluationRow]) -> None:
    if not scores:
        return
    say()
    metrics = ("AP", "AP50", "AP75", "APs", "APm", "APl")
    say_table(
        ("network", "split", "step", *metrics),
        [
            (row.model, row.split, row.step, *(number(row.metrics.get(m)) for m in metrics))
            for row in scores[-6:]
        ],
        words=2,
    )


def _summary_in_words(last: StepSummary) -> str:
    kinds = ", ".join(f"{kind_name(kind)} {last.kept_kinds.get(kind, 0)}" for kind in KINDS)
    return (
        f"step {last.step}: {last.kept} of {last.candidates} candidates kept on {last.images} "
        f"images, precision {percent(last.precision)}, recall {percent(last.recall)} ({kinds})"
    )


def _changes_in_words(changes: Sequence[AppliedChange]) -> dict[str, str]:
    """ "step 400: method.mask_threshold" -> "0.9 -> 0.8, by ada@lab"."""
    return {
        f"step {change.step}: {key}": f"{one.old} -> {one.new}, by {change.author}"
        for change in changes
        for key, one in change.changes.items()
    }


def _selections_in_words(run_id: str, picked: Sequence[Selection]) -> dict[str, str]:
    """ "odd cats (event 12)": "3 labels, /labels?run=...": the page of the dashboard."""
    return {
        f"{one.name} (event {one.selection_id})": f"{len(one.label_ids)} labels, "
        f"{labels_page(run_id, one.selection_id)}"
        for one in picked
    }


def _say_pairs(title: str, pairs: dict[str, Any]) -> None:
    if pairs:
        say()
        say_table((title, ""), list(pairs.items()), words=2)


def _files(store: Store, run_id: str) -> dict[str, str | Path]:
    """Those that are there: other code writes no log, and checkpoints may have stayed elsewhere."""
    files: dict[str, str | Path] = {"store": store.name}
    log = store.run_directory(run_id) / "log.txt"
    if log.is_file():
        files["log"] = log
    saved = checkpoints(store, run_id)
    if saved:
        there = [one.path for one in saved if one.exists]
        gone = f"none is here; that of step {saved[-1].step} was the newest"
        files["newest checkpoint"] = there[-1] if there else gone
    return files
