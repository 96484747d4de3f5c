"""The table of a sweep: values by hand, half a sweep, and the way out to CSV and Markdown."""

from __future__ import annotations

import csv
import io
from math import isnan, nan
from typing import Any

import pytest

from app.sweep_export import (
    as_markdown,
    cells,
    headings,
    mask_headings,
    mask_rows,
    write_csv,
)
from app.sweep_plan import PlannedRun
from app.sweep_report import RunResult, SweepLine, tabulate
from lab.config import RunConfig
from lab.config.sweep import Point
from lab.datasets.records import ErrorKind

LOW: Point = (("split.labeled_fraction", 0.05),)
HIGH: Point = (("split.labeled_fraction", 0.1),)
MIX = {
    ErrorKind.COR: 0.7,
    ErrorKind.LOC: 0.0,
    ErrorKind.SIM: 0.1,
    ErrorKind.OTH: 0.15,
    ErrorKind.BG: 0.05,
}


def planned(entry: str, seed: int, point: Point = ()) -> PlannedRun:
    return PlannedRun(entry, point, seed, RunConfig(), None)


def result(entry: str, seed: int, ap: float, point: Point = (), **labels: Any) -> RunResult:
    metrics = {"AP": ap, "AP50": 2 * ap, "AP75": ap / 2}
    return RunResult(entry, point, seed, f"{entry}-{seed}", metrics, 60.0 * (seed + 1), **labels)


def two_runs() -> list[SweepLine]:
    """Three seeds; the second run's third is missing."""
    plan = [planned(entry, seed) for seed in (0, 1, 2) for entry in ("supervised", "PL-DC")]
    results = [
        *(result("supervised", seed, ap) for seed, ap in ((0, 20.0), (1, 22.0), (2, 27.0))),
        result("PL-DC", 0, 21.0, kept=100, precision=0.7, recall=0.4, mix=MIX),
        result("PL-DC", 1, 25.0, kept=102, precision=0.8, recall=0.4, mix=MIX),
    ]
    return tabulate(plan, results, "supervised")


def test_a_line_is_mean_and_sample_deviation_and_the_gain_is_paired_by_seed():
    """supervised: mean 23, sqrt(26 / 2). PL-DC: 21, 25 -> 23, sqrt(8); gains 1 and 3: not 0."""
    supervised, pl_dc = two_runs()

    assert supervised.metrics["AP"].mean == 23.0
    assert supervised.metrics["AP"].deviation == pytest.approx(13**0.5)
    assert pl_dc.metrics["AP"].mean == 23.0
    assert pl_dc.metrics["AP"].deviation == pytest.approx(8**0.5)
    assert (pl_dc.gains["AP"].mean, pl_dc.gains["AP"].count) == (2.0, 2)
    assert pl_dc.gains["AP"].deviation == pytest.approx(2**0.5)
    assert pl_dc.gains["AP50"].mean == 4.0
    assert (pl_dc.kept.mean, pl_dc.precision.mean) == (101.0, pytest.approx(0.75))
    assert pl_dc.seconds.mean == 90.0


def test_the_first_run_gains_nothing_over_itself_and_makes_no_labels():
    supervised, _ = two_runs()

    assert supervised.gains["AP"].count == 0
    assert isnan(supervised.kept.mean)


def test_half_a_sweep_says_how_much_of_it_is_there():
    rows = [dict(zip(headings([line]), cells(line), strict=True)) for line in two_runs()]

    assert [row["seeds"] for row in rows] == ["3", "2 of 3"]
    assert [row["gain in AP"] for row in rows] == ["-", "+2.0 ± 1.4"]
    assert [row["kept"] for row in rows] == ["-", "101 ± 1"]
    assert rows[1] | {"Cor": "70.0", "Sim": "10.0", "minutes": "1.5"} == rows[1]


def test_nothing_is_compared_before_the_first_run_is_there():
    line = tabulate([planned("PL-DC", 0)], [result("PL-DC", 0, 20.0)], "supervised")[0]

    assert line.gains["AP"].count == 0
    assert line.metrics["AP"].mean == 20.0
    assert isnan(line.metrics["AP"].deviation)


def test_an_empty_sweep_is_a_table_of_dashes():
    line = tabulate([planned("PL-DC", 0)], [], "supervised")[0]

    assert line.seeds == ()
    assert set(cells(line)) == {"PL-DC", "0 of 1", "-"}
    assert tabulate([], [], "supervised") == []
    assert as_markdown([]).startswith("| run |")


def test_every_point_of_the_grid_is_compared_with_itself():
    plan = [planned(entry, 0, point) for point in (LOW, HIGH) for entry in ("a", "b")]
    aps = {("a", LOW): 10.0, ("b", LOW): 12.0, ("a", HIGH): 20.0, ("b", HIGH): 21.0}
    results = [result(entry, 0, ap, point) for (entry, point), ap in aps.items()]

    lines = tabulate(plan, results, "a")

    assert [(line.entry, line.point) for line in lines] == list(aps)
    assert [line.gains["AP"].mean for line in lines[1::2]] == [2.0, 1.0]
    assert headings(lines)[:3] == ["run", "labeled_fraction", "seeds"]
    assert cells(lines[2])[:2] == ["a", "0.1"]


def test_csv_gives_back_every_number():
    lines = two_runs()
    file = io.StringIO()

    write_csv(lines, file)

    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert [row["run"] for row in rows] == ["supervised", "PL-DC"]
    for line, row in zip(lines, rows, strict=True):
        spreads = {f"gain_{name}": one for name, one in line.gains.items()} | dict(line.metrics)
        spreads |= {"kept": line.kept, "cor": line.mix[ErrorKind.COR], "seconds": line.seconds}
        assert int(row["seeds"]) == len(line.seeds)
        for name, one in spreads.items():
            read = [float(row[f"{name}_{part}"] or nan) for part in ("mean", "sd")]
            assert read == pytest.approx([one.mean, one.deviation], abs=0, nan_ok=True)


def test_a_bar_in_a_name_does_not_break_the_markdown_table():
    line = tabulate([planned("a|b", 0)], [result("a|b", 0, 20.0)], "a|b")[0]

    head, rule, row = as_markdown([line]).splitlines()

    assert row.startswith("| a\\|b | 1 | 20.0 |")
    assert head.count("|") == rule.count("|") == row.count("|") - row.count("\\|")


def box_runs() -> list[SweepLine]:
    """A run without a teacher, and two whose masks have different scores."""
    entries = ("boxinst", "boxteacher", "sim")
    plan = [planned(entry, seed) for seed in (0, 1) for entry in entries]
    good, poor = {"mask_score": 0.5, "box_score": 0.1}, {"mask_score": 0.7, "box_score": nan}
    results = [
        result("boxinst", 0, 20.0),
        result("boxteacher", 0, 21.0, masks=100, true_iou=0.7, single_iou=0.625, rankings=good),
        result("boxteacher", 1, 23.0, masks=104, true_iou=0.8, rankings=poor),
        result("sim", 0, 22.0, masks=90, true_iou=0.75, rankings={"semantic_score": -0.25}),
    ]
    return tabulate(plan, results, "boxinst")


def test_masks_made_from_boxes_have_a_table_of_their_own():
    """rho of mask_score: 0.5 and 0.7, mean 0.6, deviation sqrt(2 * 0.01) = 0.14."""
    lines = box_runs()
    rows = [dict(zip(mask_headings(lines), row, strict=True)) for row in mask_rows(lines)]

    assert [row["run"] for row in rows] == ["boxteacher", "sim"]
    assert rows[0]["masks"] == "102 ± 3"
    assert rows[0]["true IoU"] == "0.750 ± 0.071"
    assert (rows[0]["single"], rows[1]["single"]) == ("0.625", "-")
    assert rows[0]["rho mask_score"] == "0.60 ± 0.14"
    assert rows[0]["rho box_score"] == "0.10"
    assert (rows[0]["rho semantic_score"], rows[1]["rho semantic_score"]) == ("-", "-0.25")
    assert "rho depth_score" not in rows[0]


def test_a_sweep_without_such_masks_has_one_table_and_no_column_for_them():
    lines = two_runs()
    file = io.StringIO()

    write_csv(lines, file)

    assert mask_rows(lines) == []
    assert "\n\n" not in as_markdown(lines)
    assert "true_iou" not in file.getvalue() and "rho" not in file.getvalue()


def test_both_tables_go_out():
    lines = box_runs()
    file = io.StringIO()

    write_csv(lines, file)

    first, second = as_markdown(lines).split("\n\n")
    assert first.count("\n") == 4
    assert second.startswith("| run | masks | true IoU | single | rho box_score |")
    rows = {row["run"]: row for row in csv.DictReader(io.StringIO(file.getvalue()))}
    assert float(rows["boxteacher"]["true_iou_mean"]) == pytest.approx(0.75)
    assert float(rows["boxteacher"]["single_iou_mean"]) == 0.625
    assert float(rows["boxteacher"]["rho_mask_score_sd"]) == pytest.approx(0.02**0.5)
    assert rows["boxinst"]["true_iou_mean"] == rows["sim"]["rho_mask_score_mean"] == ""
