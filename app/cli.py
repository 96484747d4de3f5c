"""`seglab`: the verbs, and how a failure becomes one sentence and an exit code.

Exit codes: 0 = done, 1 = tried and failed, 2 = wrong use or bad input.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer
from sqlalchemy.exc import DatabaseError

from app.commands import (
    clip_report,
    compare,
    data,
    demo,
    doctor,
    errors,
    evaluate,
    export,
    fiftyone,
    gc,
    import_run,
    jobs,
    profile,
    queue,
    runs,
    sql,
    sweep,
    train,
    ui,
    what_if,
    what_if_check,
)
from app.commands.terminal import CommandFailed, WrongUse, complain
from app.guard import AccessError
from app.launch import LaunchError
from lab.config import ConfigError
from lab.datasets.coco import DatasetError
from lab.store.store import StoreError

BAD_INPUT = (WrongUse, LaunchError, AccessError, ConfigError, DatasetError, StoreError)
FAILURES = (CommandFailed, OSError)

cli = typer.Typer(
    name="seglab",
    help="See what your teacher believes: train with pseudo-labels, and look at every one of them.",
    no_args_is_help=True,
    context_settings={"max_content_width": 100},
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
cli.command("demo")(demo.demo)
cli.command("train")(train.train)
cli.command("queue")(queue.queue)
cli.add_typer(jobs.cli, name="jobs")
cli.command("apply")(queue.apply)
cli.command("sweep")(sweep.sweep)
cli.command("runs")(runs.runs)
cli.command("show")(runs.show)
cli.command("errors")(errors.errors)
cli.command("compare")(compare.compare)
cli.command("what-if")(what_if.what_if)
cli.command("what-if-check")(what_if_check.what_if_check)
cli.command("evaluate")(evaluate.evaluate)
cli.add_typer(data.cli, name="data")
cli.command("profile")(profile.profile)
cli.command("clip-report")(clip_report.clip_report)
cli.command("export")(export.export)
cli.command("import")(import_run.import_run)
cli.command("sql")(sql.sql)
cli.command("fiftyone")(fiftyone.fiftyone)
cli.command("gc")(gc.gc)
cli.command("ui")(ui.ui)
cli.command("doctor")(doctor.doctor)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code; errors of use and of input are one sentence."""
    try:
        cli(args=arguments, prog_name="seglab")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except BAD_INPUT as error:
        complain(str(error))
        return 2
    except FAILURES as error:
        complain(str(error))
        return 1
    except DatabaseError as error:
        complain(f"the store does not answer: {error.orig}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
