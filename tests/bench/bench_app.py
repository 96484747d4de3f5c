"""How fast the dashboard answers over a big store: python -m tests.bench.bench_app [LABELS].

Targets with 500,000 labels: a page of labels in 300 ms, the what-if counts in 150 ms, a redraw
while dragging in 16 ms. Seconds are of the machine at hand; every answer is timed over HTTP.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before the first import of Gradio

import httpx
import uvicorn
from playwright.sync_api import CDPSession, sync_playwright

from app.main import bind
from app.server import build_server
from lab.datasets.records import BoxScores, LabelSource, PseudoLabels
from lab.store.recorder import StoreRecorder
from lab.store.runs import attach_datasets, create_run
from lab.store.store import Store
from tests.bench.lines import say
from tests.factories import box_scores, example_config, painted_dataset, pseudo_labels

IMAGES, PER_IMAGE = 50, 50
REPEATS = 7
REDRAWS = 60
QUESTIONS = {
    "the list of runs": "/lab/runs",
    "live, everything": "/lab/runs/last/live",
    "live, news of one step": "/lab/runs/last/live?since={last}&since_label={last}",
    "labels of a step": "/lab/runs/last/labels?span=1",
    "labels of 100 steps, dropped, one class": "/lab/runs/last/labels?span=100&kept=false&cls=2",
    "labels of all steps, Loc, lowest quality": (
        "/lab/runs/last/labels?span=0&kind=loc&sort=mask_quality&desc=false"
    ),
    "labels of all steps, two ranges": (
        "/lab/runs/last/labels?span=0&range=mask_quality:0.5:0.7&range=class_quality:0.6:"
    ),
    "what-if of 100 steps": "/lab/runs/last/what-if?span=100",
    "what-if of all steps": "/lab/runs/last/what-if?span=0",
    "what enters and leaves, all steps": (
        "/lab/runs/last/moving?span=0&from_x=.7&from_y=.8&to_x=.7&to_y=.6"
    ),
    "what-if by size and class, all steps": (
        "/lab/runs/last/groups?span=0&from_x=0.7&from_y=0.8&to_x=0.5&to_y=0.8"
    ),
    "errors of 100 steps": "/lab/runs/last/errors?span=100",
    "errors of all steps": "/lab/runs/last/errors?span=0&of=all",
    "errors over the whole run": "/lab/runs/last/errors/history?of=all",
    "labels of one class on another, all steps": "/lab/runs/last/labels?span=0&cls=1&truth=2",
    "timeline: images": "/lab/runs/last/timeline",
    "timeline of one image": "/lab/runs/last/timeline/7",
    "box scores: errors of all steps": "/lab/runs/boxes/errors?span=0&of=all",
    "box scores: steps, which scores there are": "/lab/runs/boxes/steps?since={last}",
    "box scores: labels of all steps, one range": (
        "/lab/runs/boxes/labels?span=0&range=pixel_score:0.5:0.7&sort=mask_score"
    ),
    "box scores: what-if of all steps": "/lab/runs/boxes/what-if?span=0",
}
DRAG = """async () => {
  const slider = document.querySelector("#y-slider");
  const times = [];
  for (let value = 99; value >= 40; value -= 1) {
    slider.value = value;
    slider.dispatchEvent(new Event("input"));
    await new Promise((done) => requestAnimationFrame((start) => {
      times.push(performance.now() - start); done();
    }));
  }
  times.sort((a, b) => a - b);
  return [times[30], times[57]];
}"""


def main(labels: int = 500_000) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        fill(root, labels, "boxes")
        last = fill(root, labels, "bench")
        say(f"{labels:,} labels in the store, answers over HTTP, ms: median (first)")
        server, address = serve(root)
        with httpx.Client(base_url=address, timeout=60) as client:
            for name, path in QUESTIONS.items():
                say(f"  {name:<46}{timed(client, path.format(last=last))}")
        say(f"  {'redraw while dragging: median, 95th of 60, busy':<46}{dragging(address)}")
        server.should_exit = True


def fill(root: Path, labels: int, name: str) -> int:
    """Record a run of that many labels without masks; returns its last step.

    Those of the run "boxes" have the scores of masks made from boxes.
    """
    steps = max(1, labels // (IMAGES * PER_IMAGE))
    train = painted_dataset(root / "pictures", name, IMAGES, 96, 0)
    made = [
        replace(pseudo_labels(PER_IMAGE, image_id=image.image_id, side=96), num_truths=9, missed=4)
        for image in train.images
    ]
    if name == "boxes":
        made = [replace(one, box_scores=scores_of(one)) for one in made]
    with Store.open(root) as store:
        run_id = create_run(
            store, example_config(name, "boxseg" if name == "boxes" else "pl_dc", steps)
        )
        attach_datasets(store, run_id, train, train.with_images(()))
        with StoreRecorder(store, run_id, keep_every=50) as recorder:
            for step in range(steps):
                recorder.scalars(step, {"loss/total": 1.0, "lr": 1e-3})
                recorder.pseudo_labels(
                    step, [replace(one, source=LabelSource.PSEUDO) for one in made]
                )
            recorder.finish("finished")
    return steps - 1


def scores_of(labels: PseudoLabels) -> BoxScores:
    return box_scores(labels, target_ious=labels.true_ious)


def serve(root: Path) -> tuple[uvicorn.Server, str]:
    listener = bind("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(build_server(root), log_level="warning"))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    while not server.started:
        time.sleep(0.02)
    return server, f"http://127.0.0.1:{listener.getsockname()[1]}"


def timed(client: httpx.Client, path: str) -> str:
    times = [clocked(lambda: client.get(path).raise_for_status()) for _ in range(REPEATS)]
    return f"{1e3 * sorted(times)[REPEATS // 2]:7.1f}  ({1e3 * times[0]:.1f})"


def clocked(act: Callable[[], object]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def dragging(address: str) -> str:
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        return "no chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{address}/what-if?span=0")
        page.wait_for_function("document.querySelector('#what-if-kept')?.textContent")
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        before = busy_seconds(session)
        median, slow = page.evaluate(DRAG)
        busy = (busy_seconds(session) - before) / REDRAWS
        browser.close()
    return f"{median:7.1f}  {slow:.1f}  {1e3 * busy:.1f}"


def busy_seconds(session: CDPSession) -> float:
    """Processor time of all that the page's own thread did: script, layout, painting."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(one["value"] for one in metrics if one["name"] == "TaskDuration")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
