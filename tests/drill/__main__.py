"""The fault drill: python -m tests.drill [--kills 100] [--seed S] [--only NAME]

Real processes on a store of their own are killed, stopped, starved and lied to. Exit code 1 when
anything did not hold; the store that shows it is kept.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.drill.report import Outcome, table
from tests.drill.scenarios import SCENARIOS, Act
from tests.drill.stage import Limits, Skipped, Stage


def main(arguments: list[str] | None = None) -> int:
    """Run the scenarios, one after the other, and print a table of them."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: nothing is left behind
    parser = argparse.ArgumentParser(prog="python -m tests.drill", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="how many kill -9 (default 100)")
    parser.add_argument("--minutes", type=float, default=120.0, help="... within so many minutes")
    parser.add_argument("--seed", type=int, help="of the random moments (default: a new one)")
    parser.add_argument("--only", choices=SCENARIOS, action="append", metavar="NAME")
    chosen = parser.parse_args(arguments)
    limits = Limits(chosen.kills, chosen.minutes)
    seed = time.time_ns() % 1_000_000 if chosen.seed is None else chosen.seed
    print(f"seed {seed}: --seed {seed} chooses the same moments again", flush=True)
    outcomes = [play(name, seed, limits) for name in chosen.only or SCENARIOS]
    print(table(outcomes))
    return int(any(one.result == "FAILED" for one in outcomes))


def play(name: str, seed: int, limits: Limits) -> Outcome:
    """One scenario, in a directory of its own that stays only if it fails."""
    act: Act = SCENARIOS[name]
    title = (act.__doc__ or name).splitlines()[0]
    print(f"== {name}: {title}", flush=True)
    directory = Path(tempfile.mkdtemp(prefix=f"seglab-drill-{name}-"))
    (directory / "store").mkdir()
    stage = Stage(directory / "store")
    began = time.monotonic()
    try:
        found, result = act(stage, random.Random(f"{seed} {name}"), limits), "ok"
    except Skipped as reason:
        found, result = str(reason), "skipped"
    except Exception as error:  # whatever it is, the others have their turn
        found, result = f"{type(error).__name__}: {error}; kept: {directory}", "FAILED"
    finally:
        stage.kill_everything()
    if result != "FAILED":
        shutil.rmtree(directory)
    outcome = Outcome(name, title, time.monotonic() - began, found, result)
    print(f"   {outcome.result} after {outcome.seconds:.0f} s: {outcome.found}", flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
