"""How far is a sweep? Its runs and their states, read from results and locks, on any host.

    python scripts/status.py [--runs DIR] [--plan FILE] [--watch] [--json FILE]

Shows the sweep that was planned last below runs; --plan takes an earlier one
(runs/sweep/plan-*.json), --watch looks again every two seconds until nothing is left to be done.
Exit code 0, 1 where there is no plan.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.live import Live
from rich.table import Table

from usbench.cli.overrides import exit_code
from usbench.io.console import out, say
from usbench.io.files import write_atomically
from usbench.runner.status import RunStatus, run_statuses
from usbench.sweep.jobs import PlannedJob, read_plan

EVERY_S = 2.0
OPEN = ("missing", "running", "stale")


@dataclass(frozen=True)
class Line:
    """A run of the sweep, as shown."""

    name: str
    run_id: str
    state: str
    note: str
    lost: int = 0  # how often its work was done in vain


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--plan", type=Path, metavar="FILE", help="default: the newest below runs/sweep"
    )
    parser.add_argument(
        "--watch", action="store_true", help="look again every two seconds until the sweep is over"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the states as JSON too")
    return parser.parse_args(argv)


def lines(jobs: Sequence[PlannedJob]) -> Iterator[Line]:
    """A line for each run, and for each combination that has none."""
    for job in jobs:
        if not job.runs:
            state = "skipped" if job.skipped else "failed"
            yield Line(job.name, "–", state, job.skipped or job.failed)
        for n, (address, status) in enumerate(zip(job.runs, run_statuses(job.runs), strict=True)):
            name = f"{job.name} → {address.dataset}" if n else job.name
            note = describe(status, address.run_dir)
            yield Line(name, address.run_id, status.state, note, status.lost)


def describe(status: RunStatus, folder: Path) -> str:
    """A finished run's score, how far a running one is, or why it isn't done."""
    if status.is_done:
        return "–" if status.value is None else f"{status.value:.3f}"
    if status.state == "running":
        return f"{progress(folder)}{status.reason}"
    return status.reason


def progress(folder: Path) -> str:
    """The epoch that a run is at."""
    with suppress(OSError, IndexError, csv.Error), (folder / "log.csv").open() as file:
        return f"epoch {list(csv.reader(file))[-1][0]}; "
    return ""


def summary(runs: Sequence[Line]) -> str:
    """Runs by state, in a line."""
    counts = Counter(line.state for line in runs)
    lost = sum(line.lost for line in runs)
    states = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    return f"{len(runs)} runs: {states}" + (f"; work done twice: {lost}" if lost else "")


def grid(runs: Sequence[Line]) -> Table:
    """The table for people."""
    table = Table(title=summary(runs), title_justify="left", title_style="bold")
    for name in ("run", "run_id", "state", ""):
        table.add_column(name)
    for line in runs:
        table.add_row(line.name, line.run_id, line.state, line.note)
    return table


def is_open(runs: Sequence[Line]) -> bool:
    """Whether something is left to be done."""
    return any(line.state in OPEN for line in runs)


def status(options: argparse.Namespace) -> int:
    """Show, once or until the end; the exit code."""
    jobs = read_plan(options.runs, options.plan)
    runs = list(lines(jobs))
    if options.watch and out.is_terminal:
        live = Live(grid(runs), console=out, auto_refresh=False)
        with live, suppress(KeyboardInterrupt):
            while is_open(runs):
                time.sleep(EVERY_S)
                runs = list(lines(jobs))
                live.update(grid(runs), refresh=True)
    else:
        while options.watch and is_open(runs):
            say(summary(runs))
            time.sleep(EVERY_S)
            runs = list(lines(jobs))
        out.print(grid(runs))
    if options.json:
        write_atomically(options.json, json.dumps([vars(line) for line in runs], indent=1) + "\n")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    options = arguments(argv)
    return exit_code(lambda: status(options))


if __name__ == "__main__":
    sys.exit(main())
