"""How far is a sweep? Its runs and their states, read from results and locks, on any host.

    usbench status [--runs DIR] [--plan FILE] [--watch] [--json FILE]

Shows the sweep that was planned last below runs; --plan takes an earlier one
(runs/sweep/plan-*.json), --watch looks again every two seconds until nothing is left to be done.
Exit code 0, 1 where there is no plan.
"""

from __future__ import annotations

import csv
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.live import Live
from rich.table import Table

from usbench.cli.options import Options, make_parser, run_verb, write_json
from usbench.io.console import out, say
from usbench.io.numbers import format_count
from usbench.results.format import format_value
from usbench.runner.status import run_statuses
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


def lines(jobs: Sequence[PlannedJob]) -> Iterator[Line]:
    """A line for each run, and for each combination that has none."""
    for job in jobs:
        if not job.runs:
            state = "skipped" if job.skipped else "failed"
            yield Line(job.name, "–", state, job.skipped or job.failed)
        for n, (address, status) in enumerate(zip(job.runs, run_statuses(job.runs), strict=True)):
            name = f"{job.name} → {address.dataset}" if n else job.name
            note = status.reason
            if status.is_done:  # its score
                note = format_value(status.value, status.score)
            elif status.state == "running":
                note = f"{progress(address.run_dir)}{note}"
            yield Line(name, address.run_id, status.state, note, status.lost)


def progress(folder: Path) -> str:
    """The epoch that a run is at."""
    with (
        suppress(OSError, ValueError, IndexError, csv.Error),
        (folder / "log.csv").open(encoding="utf-8") as file,
    ):
        return f"epoch {list(csv.reader(file))[-1][0]}; "
    return ""


def summary(runs: Sequence[Line]) -> str:
    """Runs by state, in a line."""
    counts = Counter(line.state for line in runs)
    lost = sum(line.lost for line in runs)
    states = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    twice = f"; work done twice: {lost}" if lost else ""
    return f"{format_count(len(runs), 'run')}: {states}{twice}"


def grid(runs: Sequence[Line]) -> Table:
    """The table for people."""
    table = Table("run", "run_id", "state", "score or reason", title=summary(runs))
    table.title_justify, table.title_style = "left", "bold"
    for line in runs:
        table.add_row(line.name, line.run_id, line.state, line.note)
    return table


def is_open(runs: Sequence[Line]) -> bool:
    """Whether something is left to be done."""
    return any(line.state in OPEN for line in runs)


def status(options: Options) -> None:
    """Show, once or until the end."""
    jobs = read_plan(options.runs, options.plan)
    runs = list(lines(jobs))
    if options.watch and out.is_terminal:
        with Live(grid(runs), console=out, auto_refresh=False) as live, suppress(KeyboardInterrupt):
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
    write_json(options.json, list(map(vars, runs)))


def main(argv: list[str] | None = None) -> int:
    """The command; its exit code."""
    parser = make_parser(__doc__, "write the states as JSON too", "status")
    add = parser.add_argument
    add("--runs", type=Path, default="runs", metavar="DIR", help="default: %(default)s")
    add("--plan", type=Path, metavar="FILE", help="default: the newest below runs/sweep")
    add("--watch", action="store_true", help="look every two seconds until the sweep is over")
    return run_verb(status, parser.parse_args(argv))
