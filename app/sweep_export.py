"""A sweep's table as CSV for programs and as Markdown for people."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from math import isnan
from typing import IO, Any

from app.sweep_plan import describe_point
from app.sweep_report import METRICS, SweepLine
from lab.analysis.mask_quality import QUALITIES
from lab.analysis.spread import Spread, spread
from lab.analysis.what_if import JUDGED

MINUTE = 60.0


def headings(lines: Sequence[SweepLine]) -> list[str]:
    """Of the table for people; the keys of the grid come second."""
    grid = [key.rpartition(".")[2] for key, _ in lines[0].point] if lines else []
    kinds = [kind_heading(kind.name) for kind in JUDGED]
    labels = ["kept", "precision", "recall", *kinds]
    return ["run", *grid, "seeds", *METRICS, "gain in AP", *labels, "minutes"]


def cells(line: SweepLine) -> list[str]:
    """One row of that table: mean ± standard deviation; a dash where nothing is known."""
    whole = len(line.seeds) == line.planned
    seeds = str(line.planned) if whole else f"{len(line.seeds)} of {line.planned}"
    return [
        line.entry,
        *(str(value) for _, value in line.point),
        seeds,
        *(in_words(line.metrics[name]) for name in METRICS),
        in_words(line.gains["AP"], sign="+"),
        in_words(line.kept, digits=0),
        in_words(line.precision, scale=100),
        in_words(line.recall, scale=100),
        *(in_words(line.mix[kind], scale=100, with_spread=False) for kind in JUDGED),
        in_words(line.seconds, scale=1 / MINUTE, with_spread=False),
    ]


def mask_headings(lines: Sequence[SweepLine]) -> list[str]:
    """Of a second table, on masks made from boxes: one column for each score that any run has.

    "single" is the true IoU that there would be without fusing.
    """
    return ["run", "masks", "true IoU", "single", *(f"rho {name}" for name in score_names(lines))]


def mask_rows(lines: Sequence[SweepLine]) -> list[list[str]]:
    """The rows of that table: runs that made such masks."""
    names = score_names(lines)
    unknown = spread(())
    return [
        [
            " ".join(filter(None, (line.entry, describe_point(line.point)))),
            in_words(line.masks, digits=0),
            in_words(line.true_iou, digits=3),
            in_words(line.single_iou, digits=3),
            *(in_words(line.rankings.get(name, unknown), digits=2) for name in names),
        ]
        for line in lines
        if line.masks.count
    ]


def score_names(lines: Sequence[SweepLine]) -> list[str]:
    """The scores that the masks of any line have, in one order for all."""
    known = {name for line in lines for name in line.rankings}
    return [name for name in QUALITIES if name in known]


def in_words(
    one: Spread, *, scale: float = 1, digits: int = 1, sign: str = "", with_spread: bool = True
) -> str:
    """ "22.5 ± 0.8", "22.5" for a single value, "-" for none."""
    if isnan(one.mean):
        return "-"
    mean = f"{scale * one.mean:{sign}.{digits}f}"
    if isnan(one.deviation) or not with_spread:
        return mean
    return f"{mean} ± {scale * one.deviation:.{digits}f}"


def kind_heading(name: str) -> str:
    """Cor, Loc, Sim, Oth, BG."""
    return name if name == "BG" else name.title()


def as_markdown(lines: Sequence[SweepLine]) -> str:
    """A table as GitHub shows it; numbers right. A second one where masks were made from boxes."""
    tables = [_markdown_table(headings(lines), [cells(line) for line in lines])]
    masks = mask_rows(lines)
    if masks:
        tables.append(_markdown_table(mask_headings(lines), masks))
    return "\n".join(tables)


def write_csv(lines: Sequence[SweepLine], file: IO[str]) -> None:
    """One line per row of the table, every number in full; empty where nothing is known."""
    names = score_names(lines)
    records = [numbers(line, names) for line in lines]
    writer = csv.DictWriter(file, fieldnames=list(records[0]) if records else ["run"])
    writer.writeheader()
    writer.writerows(records)


def numbers(line: SweepLine, names: Sequence[str] = ()) -> dict[str, Any]:
    """Every number of a line by column; shares in [0, 1], times in seconds.

    Args:
        names: scores of masks made from boxes, if any line of the table has such.
    """
    spreads = {
        **line.metrics,
        **{f"gain_{name}": one for name, one in line.gains.items()},
        **{"kept": line.kept, "precision": line.precision, "recall": line.recall},
        **{kind.name.lower(): one for kind, one in line.mix.items()},
        "seconds": line.seconds,
    }
    if names:
        spreads |= {"masks": line.masks, "true_iou": line.true_iou}
        spreads |= {"single_iou": line.single_iou}
        spreads |= {f"rho_{name}": line.rankings.get(name, spread(())) for name in names}
    known = {"run": line.entry, **dict(line.point), "seeds": len(line.seeds)}
    return known | _columns(spreads)


def _columns(spreads: Mapping[str, Spread]) -> dict[str, float | str]:
    found: dict[str, float | str] = {}
    for name, one in spreads.items():
        found[f"{name}_mean"] = "" if isnan(one.mean) else one.mean
        found[f"{name}_sd"] = "" if isnan(one.deviation) else one.deviation
    return found


def _markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    whole = [titles, ["---", *("---:" for _ in titles[1:])], *rows]
    return "".join(f"| {' | '.join(map(_escaped, row))} |\n" for row in whole)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
