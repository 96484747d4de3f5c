"""`seglab data`: check a COCO file, generate shapes, make depth maps, count a config's classes."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import Json, StoreRoot
from app.commands.terminal import CommandFailed, WrongUse, counted, say, say_json, say_table
from app.engine_process import capture, depth_command
from lab.config import ShapesConfig, load_run_config
from lab.datasets.check import check_coco
from lab.datasets.load import class_frequencies, load_dataset
from lab.datasets.records import Dataset
from lab.datasets.shapes import make_shapes
from lab.store.store import default_root

cli = typer.Typer(
    help="Check a dataset, generate one, make its depth maps, or count its classes.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@cli.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="JSON", help="Instances in COCO format.")],
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="Directory of the images.")],
    json: Json = False,
) -> None:
    """Look for everything that makes training or evaluation go wrong, and say what to do.

    The exit code is 1 when there is an error in them, 0 with warnings and notes alone.
    """
    if not file.is_file():
        raise WrongUse(f"{file}: there is no such file")
    if not images.is_dir():
        raise WrongUse(f"{images}: is not a directory")
    report = check_coco(file, images)
    errors = [issue for issue in report.issues if issue.severity == "error"]
    if json:
        say_json(report)
    else:
        for issue in report.issues:
            again = f" ({issue.count} times)" if issue.count > 1 else ""
            say(f"{issue.severity}: {issue.where}: {issue.message}{again}")
        others = len(report.issues) - len(errors)
        say(f"{file}: {counted(len(errors), 'error')}, {counted(others, 'other finding')}")
    raise typer.Exit(1 if errors else 0)


@cli.command()
def make(
    out: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="Where to write.")],
    num_train: Annotated[int, typer.Option(min=1, help="Training images.")] = 600,
    num_val: Annotated[int, typer.Option(min=1, help="Validation images.")] = 100,
    image_size: Annotated[int, typer.Option(min=32, help="Side in pixels.")] = 128,
    seed: Annotated[int, typer.Option(min=0, help="Other seeds give other images.")] = 0,
    json: Json = False,
) -> None:
    """Generate the shapes dataset (COCO json, PNG images, depth maps); reused when it is there."""
    config = ShapesConfig(num_train=num_train, num_val=num_val, image_size=image_size, seed=seed)
    try:
        train, val = make_shapes(config, out)
    except OSError as error:
        raise CommandFailed(f"{out}: cannot be written: {error.strerror or error}") from None
    if json:
        say_json({"directory": out, "train": _counts(train), "val": _counts(val)})
    else:
        say(f"{train.images[0].path.parent}: {len(train.images)} training images")
        say(f"{val.images[0].path.parent}: {len(val.images)} validation images")


@cli.command()
def depth(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="A run's TOML file, or a COCO JSON file.")
    ],
    images: Annotated[
        Path | None,
        typer.Argument(
            metavar="IMAGES", help="Directory of the JSON's images.", show_default=False
        ),
    ] = None,
    *,
    model: Annotated[
        str,
        typer.Option(
            help="DPT or Depth-Anything: a directory in transformers' format, or a name on the "
            "model hub such as Intel/dpt-large."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Directory of the maps.  [default: the TOML's dataset.train_depth]",
            file_okay=False,
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Make so many maps at most, to have a look.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a depth map of every training image, once, for method pseudo_depth.

    Maps that are there are left alone: the same command goes on where it stopped.
    """
    given = {"--model": model, "--out": out, "--device": device, "--limit": limit}
    code, text = capture(depth_command(dataset, images, given))
    if code != 0:  # the engine has said why
        raise typer.Exit(code)
    told = json_format.loads(text)
    if json:
        say_json(told)
        return
    say(
        f"{told['out']}: {told['images'] - told['left']} of {told['images']} images have a depth "
        f"map, {told['made']} of them new"
    )


@cli.command()
def stats(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A TOML file of a run.")],
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """Count images and instances per class of the dataset that CONFIG names."""
    root = store_root or default_root()
    data = load_dataset(load_run_config(config).dataset, root / "datasets")
    counts = {"train": _counts(data.train), "val": _counts(data.val)}
    if json:
        say_json(counts)
        return
    say(f"train {len(data.train.images)} images, val {len(data.val.images)} images")
    say_table(
        ("class", "supercategory", "train", "val"),
        [
            (one.name, one.supercategory, counts["train"][one.name], counts["val"][one.name])
            for one in data.train.categories
        ],
        words=2,
    )


def _counts(dataset: Dataset) -> dict[str, int]:
    names = [category.name for category in dataset.categories]
    return dict(zip(names, map(int, class_frequencies(dataset)), strict=True))
