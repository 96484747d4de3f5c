"""`seglab clip-report`: what a CLIP makes of the true objects of a dataset."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from app.commands.options import Json, StoreRoot
from app.commands.terminal import WrongUse, note, percent, say, say_json, say_table
from app.engine_process import capture, clip_report_command
from lab.store.store import default_root

SHOWN_PAIRS = 10


def clip_report(  # noqa: PLR0913 - every option is one
    dataset: Annotated[
        str,
        typer.Argument(metavar="DATASET", help="shapes, a run's TOML file, or a COCO JSON file."),
    ],
    images: Annotated[
        Path | None,
        typer.Argument(
            metavar="IMAGES", help="Directory of the JSON's images.", show_default=False
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="tiny, an open_clip name, local-dir:PATH or hf-hub:OWNER/NAME.  "
            "[default: the run's, or tiny]"
        ),
    ] = None,
    pretrained: Annotated[
        str | None, typer.Option(help="Its weights: a tag or a file.  [default: the run's]")
    ] = None,
    template: Annotated[
        list[str] | None, typer.Option(help='Prompt with "{class}" in it. May be repeated.')
    ] = None,
    descriptions: Annotated[
        Path | None, typer.Option(help="JSON or TOML file: class -> list of sentences.")
    ] = None,
    combine: Annotated[
        Literal["features", "logits"] | None,
        typer.Option(help="How several texts of a class become one."),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(min=0.0, help="Context around an object, a share of its box's sides."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Look at the first images only.")] = None,
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """Precision and recall of a CLIP's classes on the true objects of DATASET.

    PL-DC's Table II. A CLIP that is often wrong here cannot correct pseudo-labels there. The report
    is kept in the store and shown by the dashboard's Data page.
    """
    for text in template or []:
        if "{class}" not in text:
            raise WrongUse(f"--template {text!r}: expected {{class}} where the name goes")
    root = store_root or default_root()
    command = clip_report_command(
        root,
        dataset,
        images,
        {
            "--model": model,
            "--pretrained": pretrained,
            "--template": template,
            "--descriptions": descriptions,
            "--combine": combine,
            "--margin": margin,
            "--limit": limit,
        },
    )
    code, text = capture(command)
    if code != 0:  # the engine has said why
        raise typer.Exit(code)
    report: dict[str, Any] = json_format.loads(text)
    if json:
        say_json(report)
        return
    _tell(report)
    note(f"kept in {root / 'clip-reports' / report['key']}.json")


def _tell(report: Mapping[str, Any]) -> None:
    clip, data = report["clip"], report["dataset"]
    say(f"{clip['model']} ({clip['pretrained']}) on {data['name']}, {data['images']} images")
    say(
        f"{report['judged']} of {report['objects']} objects judged ({report['unseen']} too small, "
        f"{report['unknown']} of classes it does not know): right {percent(report['accuracy'])}, "
        f"right supercategory {percent(report['similar_accuracy'])}"
    )
    rows = [_class_row(one) for one in sorted(report["classes"], key=lambda c: -c["objects"])]
    mean = (percent(report["macro_precision"]), percent(report["macro_recall"]))
    rows.append(("mean of the classes", report["objects"], *mean))
    say_table(("class", "objects", "precision", "recall"), rows)
    sizes = [(one["size"], one["objects"], percent(one["accuracy"])) for one in report["sizes"]]
    say_table(("size", "objects", "right"), sizes)
    pairs = report["confusions"][:SHOWN_PAIRS]
    if pairs:
        say_table(
            ("a true", "is taken for", "objects", "of its class"),
            [(one["truth"], one["named"], one["count"], percent(one["share"])) for one in pairs],
            words=2,
        )


def _class_row(score: Mapping[str, Any]) -> tuple[object, ...]:
    name = score["name"] if score["known"] else f"{score['name']} (not in its vocabulary)"
    return name, score["objects"], percent(score["precision"]), percent(score["recall"])
