"""The browser's own arithmetic against Python's: masks, thresholds, merged curves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page
from pycocotools import mask as coco_mask

from lab.analysis.what_if import PLANES, IntegralHistogram
from lab.datasets.records import ErrorKind
from tests.factories import rle

pytestmark = pytest.mark.browser


def call(page: Page, module: str, body: str, argument: object) -> Any:
    """What `body` returns, with the module as `m` and the argument as `given`."""
    if page.url == "about:blank":
        page.goto("/lab/static/favicon.svg")
    script = f"async (given) => {{ const m = await import('/lab/static/{module}'); {body} }}"
    return page.evaluate(script, argument)


def random_masks(rng: np.random.Generator) -> list[np.ndarray]:
    noise = [rng.random((h, w)) < 0.5 for h, w in ((1, 1), (1, 7), (9, 1), (12, 17))]
    blocks = [np.kron(rng.random((4, 5)) < 0.5, np.ones((60, 70))) > 0 for _ in range(3)]
    return [*noise, *blocks, np.ones((5, 6), bool), np.zeros((5, 6), bool)]


def test_masks_are_decoded_as_coco_does(page: Page) -> None:
    masks = random_masks(np.random.default_rng(0))
    encoded = [{"size": [*m.shape], "counts": rle(m).counts.decode()} for m in masks]

    decoded = call(page, "rle.js", "return given.map((one) => [...m.bitmap(one)]);", encoded)

    for mask, pixels in zip(masks, decoded, strict=True):
        assert coco_mask.decode(rle(mask).as_coco()).ravel(order="F").tolist() == pixels


def test_the_outline_encloses_exactly_the_masks_pixels(page: Page) -> None:
    """Shoelace area of all loops, holes running the other way, is the number of pixels."""
    masks = random_masks(np.random.default_rng(1))
    encoded = [{"size": [*m.shape], "counts": rle(m).counts.decode()} for m in masks]

    loops = call(page, "rle.js", "return given.map((one) => m.loops(one));", encoded)

    for mask, corners in zip(masks, loops, strict=True):
        area = 0.0
        for flat in corners:
            x, y = np.array(flat, float).reshape(-1, 2).T
            area += float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2
        assert area == mask.sum()


def test_the_browser_keeps_what_python_keeps(page: Page) -> None:
    rng = np.random.default_rng(2)
    count = 3_000
    class_quality, mask_quality = rng.random((2, count)).astype(np.float32)
    kinds = rng.integers(0, len(ErrorKind), count)
    truths = np.where(kinds == ErrorKind.COR, rng.integers(0, 900, count), -1)
    built = IntegralHistogram.build(
        class_quality, mask_quality, kinds, np.zeros(count, bool), 1_000, truths
    )
    pairs = [(0, 0), (100, 100), (70, 80), (85, 90), (99, 0)]
    given = {
        "answer": {
            "planes": [kind.name.lower() for kind in ErrorKind] + ["found"],
            "pair": built.cumulative.ravel().tolist(),
            "coupled": [0] * (PLANES * 101),
            "truths": 1_000,
        },
        "pairs": pairs,
    }

    answers = call(
        page,
        "histogram.js",
        """const h = new m.Histogram(given.answer);
        return given.pairs.map(([c, q]) => {
          const at = h.at(c, q);
          const shares = [m.recall(at, h.truths), m.precision(at), m.f1(at, h.truths)];
          return [m.kept(at), at.found, m.judged(at), ...shares];
        });""",
        given,
    )

    for (c, q), (kept, found, judged, *shares) in zip(pairs, answers, strict=True):
        expected = built.ask(c / 100, q / 100)
        assert (kept, found) == (expected.kept, expected.found)
        unjudged = (ErrorKind.UNKNOWN, ErrorKind.IGNORED)
        assert judged == expected.kept - sum(expected.kinds[kind] for kind in unjudged)
        told = [float("nan") if share is None else share for share in shares]
        f1 = expected.f1 if expected.kept else float("nan")  # where nothing is, there is no colour
        agreed = [expected.recall, expected.precision, f1]
        assert told == pytest.approx(agreed, nan_ok=True)


def test_a_curve_that_was_rewound_is_not_drawn_twice(page: Page) -> None:
    known = {"steps": [0, 1, 2, 3], "values": [9, 8, 7, 6]}
    fresh = {"steps": [2, 3, 4], "values": [5, 4, 3]}

    merged = call(page, "series.js", "return m.extend(given[0], given[1]);", [known, fresh])

    assert merged == {"steps": [0, 1, 2, 3, 4], "values": [9, 8, 5, 4, 3]}


@pytest.mark.parametrize(
    ("now", "then", "words"),
    [
        ([85, 90], [85, 90], "These are the thresholds of this run."),
        (
            [85, 90],
            [85, 75],
            "Lowering the mask threshold from 0.90 to 0.75 would keep 15 more labels, "
            "60\u00a0% of them right.",
        ),
        (
            [85, 75],
            [85, 90],
            "Raising the mask threshold from 0.75 to 0.90 would drop 15 labels, "
            "60\u00a0% of them right.",
        ),
        (
            [85, 90],
            [60],
            "Keeping labels whose class × mask is at least 0.60 would keep 20 labels, 75\u00a0% of "
            "them right; this run keeps 10, 60\u00a0% of them right.",
        ),
    ],
)
def test_the_sentence_says_what_would_change(
    page: Page, now: list[int], then: list[int], words: str
) -> None:
    """One label per hundredth of mask threshold: 9 right, 6 background from 0.75 to 0.90.

    The product keeps 20 labels, 15 of them right; the run's own rule keeps 10, 6 of them right.
    """
    text = call(
        page,
        "what_if_words.js",
        """const pair = ([c, q]) =>
          q === undefined ? { coupledIndex: c } : { xIndex: c, yIndex: q };
        const read = ({ coupledIndex, yIndex }) => {
          if (coupledIndex) {
            return { cor: 15, found: 15, loc: 0, sim: 0, oth: 0, bg: 5, unknown: 0, ignored: 0 };
          }
          const right = Math.round((100 - yIndex) * 0.6);
          return { cor: right, found: right, loc: 0, sim: 0, oth: 0, bg: 100 - yIndex - right,
                   unknown: 0, ignored: 0 };
        };
        const axes = { x: { short: "class" }, y: { short: "mask" } };
        return m.sentence(pair(given[0]), pair(given[1]), read, axes);""",
        [now, then],
    )

    assert text.startswith(words)


def test_a_visitor_without_a_wish_sees_the_run_that_tells_most(page: Page) -> None:
    """Newest first; a run that trains beats one that ended, labels beat none, then age decides."""
    queued = {"run_id": "queued", "status": "queued", "lately": None}
    bare = {"run_id": "bare", "status": "running", "lately": None}
    training = {"run_id": "training", "status": "running", "lately": {"kept": 4}}
    done = {"run_id": "done", "status": "finished", "lately": {"kept": 7}}
    older = done | {"run_id": "older"}

    given = [[queued, bare, training, done], [queued, done, older], [queued]]
    body = "return given.map((runs) => m.mostTelling(runs).run_id);"

    assert call(page, "session.js", body, given) == ["training", "done", "queued"]


AXES = {
    "x": {"name": "class_quality", "key": "method.class_threshold", "threshold": 0.7},
    "y": {"name": "mask_quality", "key": "method.mask_threshold", "threshold": 0.8},
}
OF_PL_DC = {"config": {"method": {"coupled_threshold": 0.7}}}


@pytest.mark.parametrize(
    ("kind", "then", "expected"),
    [
        ("dual", {"xIndex": 70, "yIndex": 80}, {}),
        ("dual", {"xIndex": 70, "yIndex": 75}, {"method.mask_threshold": 0.75}),
        (
            "dual",
            {"coupledIndex": 60},
            {"method.ddtf": False, "method.coupled_threshold": 0.6},
        ),
        ("coupled", {"coupledIndex": 70}, {}),
        ("coupled", {"coupledIndex": 65}, {"method.coupled_threshold": 0.65}),
        (
            "coupled",
            {"xIndex": 10, "yIndex": 20},
            {
                "method.ddtf": True,
                "method.class_threshold": 0.1,
                "method.mask_threshold": 0.2,
            },
        ),
    ],
)
def test_sliders_become_the_keys_that_differ(
    page: Page, kind: str, then: dict[str, int], expected: dict[str, Any]
) -> None:
    run = OF_PL_DC | {"thresholds": {"kind": kind, "coupled": 0.7}}

    changes = call(
        page,
        "what_if_changes.js",
        "return m.changesOf(given[0], given[1]);",
        [{"axes": AXES, "then": then}, run],
    )

    assert changes == expected


def test_a_score_without_a_threshold_cannot_be_applied(page: Page) -> None:
    axes = {side: one | {"key": None} for side, one in AXES.items()}
    run = {"config": {"method": {}}, "thresholds": {"kind": "class", "coupled": 0.0}}
    body = "return [m.changesOf(given[0], given[2]), m.changesOf(given[1], given[2])];"
    views = [
        {"axes": axes, "then": {"xIndex": 3, "yIndex": 4}},
        {"axes": axes, "then": {"coupledIndex": 5}},
    ]

    assert call(page, "what_if_changes.js", body, [*views, run]) == [{}, {}]


@pytest.mark.parametrize(
    ("spec", "text", "value"),
    [
        ({"kind": "int"}, " 12 ", 12),
        ({"kind": "float"}, "1e-4", 1e-4),
        ({"kind": "float"}, "much", "much"),
        ({"kind": "int", "optional": True}, "", None),
        ({"kind": "int"}, "", ""),
        ({"kind": "numbers"}, "64, 96 128", [64, 96, 128]),
        ({"kind": "numbers"}, "", []),
        ({"kind": "lines"}, "a {class}\n\n b", ["a {class}", "b"]),
        ({"kind": "json"}, '{"disc": ["round"]}', {"disc": ["round"]}),
        ({"kind": "json"}, "classes.toml", "classes.toml"),
        ({"kind": "text"}, " 12 ", "12"),
    ],
)
def test_what_is_written_into_a_field_is_what_the_config_takes(
    page: Page, spec: dict[str, Any], text: str, value: object
) -> None:
    assert (
        call(page, "launch_field.js", "return m.readText(given[0], given[1]);", [spec, text])
        == value
    )


def test_forks_stand_under_their_parents_and_a_lost_parent_leaves_a_root(page: Page) -> None:
    """a is the parent of b and d, b of c; e comes from a run that was deleted."""
    parents = {"a": None, "b": "a", "c": "b", "d": "a", "e": "gone"}
    runs = [
        {"run_id": name, "parent_run_id": parent, "created": at}
        for at, (name, parent) in enumerate(parents.items())
    ]
    body = """const shown = m.treeOrder(given).map(({ run, depth }) => [run.run_id, depth]);
        const plain = (map) => Object.fromEntries(map);
        return [shown, plain(m.roots(given)), plain(m.childCounts(given))];"""

    order, roots, children = call(page, "lineage.js", body, runs[::-1])

    assert order == [["a", 0], ["b", 1], ["c", 2], ["d", 1], ["e", 0]]
    assert roots == {"a": "a", "b": "a", "c": "a", "d": "a", "e": "e"}
    assert children == {"a": 2, "b": 1, "gone": 1}


def test_a_run_without_thresholds_keeps_nothing_it_predicts(page: Page) -> None:
    """Unless it dropped something: other training code has thresholds that no config tells."""
    kept, dropped = {"kept": True}, {"kept": False}
    given = [
        [[kept, kept, dropped], "pair"],
        [[kept, kept], "pair"],
        [[kept, kept], "none"],
        [[kept], "none"],
        [[kept, dropped], "none"],
        [[], "none"],
    ]

    body = "return given.map(([labels, kind]) => m.keptWords(labels, { thresholds: { kind } }));"

    assert call(page, "notices.js", body, given) == [
        *("2 kept labels of 3", "2 kept labels of 2", "2 predictions", "1 prediction"),
        *("1 kept label of 2", "0 predictions"),
    ]
