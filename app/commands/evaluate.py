"""`seglab evaluate`: the AP and the error kinds of a checkpoint on the validation images."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from app.commands.options import Json, RunKey, StoreRoot, open_reader
from app.commands.terminal import CommandFailed, number, say, say_json, say_table
from app.engine_process import capture, evaluate_command
from lab.store.queries import get_run


def evaluate(
    run: RunKey,
    step: Annotated[
        int | None, typer.Option(min=0, help="Of which checkpoint.  [default: the newest]")
    ] = None,
    model: Annotated[
        Literal["teacher", "student"] | None,
        typer.Option(help="Which network.  [default: the teacher, if there is one]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also write the predictions there, as COCO results.")
    ] = None,
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """Evaluate a checkpoint of RUN on its validation images."""
    with open_reader(store_root) as store:
        row = get_run(store, run)
        command = evaluate_command(store.root, row.run_id, step=step, model=model, out=out)
    code, text = capture(command)
    if code != 0:
        raise CommandFailed(f"the engine could not evaluate run {row.run_id} (exit code {code})")
    answer: dict[str, Any] = json_format.loads(text)
    if json:
        say_json(answer)
        return
    say(f"{row.name} ({row.run_id}), {answer['model']} at step {answer['step']}")
    say_table(("metric", "value"), [(k, number(v, 2)) for k, v in answer["metrics"].items()])
    say_table(("class", "AP"), [(k, number(v)) for k, v in answer["per_class"].items()])
