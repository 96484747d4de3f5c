"""`what-if-check`: a plane against runs trained with other thresholds, with known numbers."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.cli import main
from app.foresight import NotComparable, foretell
from app.foresight_plot import axis_limits
from lab.config import RunConfig, parse_run_config, with_overrides
from lab.store.recorder import StoreRecorder
from lab.store.runs import create_run
from lab.store.store import Store
from tests.app.commands.conftest import CONFIG, labels_of


def changed(**changes: object) -> RunConfig:
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return parse_run_config(with_overrides(CONFIG.model_dump(mode="json"), dotted))


def forked(store: Store, parent: str, config: RunConfig, steps: Sequence[int]) -> str:
    """A run from `parent` after step 2 that recorded the labels by hand at the steps."""
    run_id = create_run(store, config, parent_run_id=parent, parent_step=2)
    with StoreRecorder(store, run_id) as recorder:
        for step in steps:
            recorder.pseudo_labels(step, [labels_of(1), labels_of(2)])
        recorder.finish("finished")
    return run_id


def test_a_run_is_foretold_exactly_where_its_candidates_are_the_same(store: Store, recorded: str):
    """At mask 0.85 the dog that is a cat goes: 1 of 2 kept per image, and it is right.

    The fork by hand kept two all the same: 4 labels of 8 images and steps, half of them right.
    """
    other = forked(store, recorded, changed(method__mask_threshold=0.85, name="tight"), (4, 8))

    itself, tight = foretell(store, recorded, [other], None, None)

    assert itself.foresight.foretold == itself.foresight.happened
    assert (tight.first_step, tight.last_step, tight.thresholds) == (4, 8, "class 0.8, mask 0.85")
    assert (tight.foresight.foretold.kept, tight.foresight.foretold.precision) == (4, 1.0)
    assert (tight.foresight.happened.kept, tight.foresight.happened.precision) == (8, 0.5)
    assert tight.foresight.kept_ratio == 2.0
    assert tight.foresight.mix_distance == 0.5
    assert tight.differs_in == ()


def test_another_value_than_a_threshold_is_named(store: Store, recorded: str):
    other = forked(store, recorded, changed(method__unsup_weight=0.5), (4, 8))

    assert foretell(store, recorded, [other], None, None)[1].differs_in == ("method.unsup_weight",)


def test_only_steps_that_both_recorded_and_were_asked_for_count(store: Store, recorded: str):
    other = forked(store, recorded, CONFIG, (4,))

    trial = foretell(store, recorded, [other], None, None)[1]

    assert (trial.first_step, trial.last_step) == (4, 4)
    assert trial.foresight.foretold == trial.foresight.happened
    assert trial.foresight.foretold.kept == 4
    with pytest.raises(NotComparable, match="no pseudo-labels in the same steps since step 5"):
        foretell(store, recorded, [other], 5, None)


def test_runs_that_recorded_other_steps_are_not_compared(store: Store, recorded: str):
    other = forked(store, recorded, CONFIG, (4, 6, 8))

    with pytest.raises(NotComparable, match="different steps, such as 6"):
        foretell(store, recorded, [other], None, None)


def test_runs_with_different_pasts_are_wrong_use(
    store: Store, recorded: str, capsys: pytest.CaptureFixture[str]
):
    stranger = create_run(store, changed(seed=1))

    assert main(["what-if-check", recorded, stranger, "--store", str(store.root)]) == 2
    assert "does not start where by-hand" in capsys.readouterr().err


def test_the_verb_prints_json_and_draws(
    store: Store, recorded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    other = forked(store, recorded, changed(method__mask_threshold=0.85, name="<b>"), (4, 8))
    plot = tmp_path / "check.svg"
    verb = ["what-if-check", recorded, other, "--store", str(store.root)]

    assert main([*verb, "--json", "--plot", str(plot)]) == 0
    trials = json.loads(capsys.readouterr().out)
    assert main(verb) == 0
    printed = capsys.readouterr().out

    assert [one["foresight"]["happened"]["kept"] for one in trials] == [8, 8]
    assert "class 0.8, mask 0.85" in printed
    circles = ET.parse(plot).iter("{http://www.w3.org/2000/svg}circle")
    assert len(list(circles)) == 2 * 3
    assert main([*verb, "--plot", "check.pdf"]) == 2


@pytest.mark.parametrize(
    ("values", "limits"),
    [
        ([0.62, 0.75], (0.6, 0.8)),
        ([10.0, 480.0], (0.0, 500.0)),
        ([0.5, 0.5], (0.49, 0.51)),
        ([0.0, float("nan")], (0.0, 1.0)),
        ([], (0.0, 1.0)),
    ],
)
def test_axes_end_at_round_numbers_around_the_values(
    values: list[float], limits: tuple[float, float]
):
    assert axis_limits(values) == pytest.approx(limits)
