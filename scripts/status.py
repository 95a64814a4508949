"""How far is a sweep? Its cells and their states, read from results and claims, by whichever host they are run.

    python scripts/status.py [--runs DIR] [--plan FILE] [--watch] [--json FILE]

Shows the sweep that was planned last below runs; --plan takes an earlier one (runs/sweep/plan-*.json), --watch looks
again every two seconds until nothing is left to be done. Exit code 0, 1 where there is no plan.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.live import Live
from rich.table import Table

from usbench.cli.overrides import exit_code
from usbench.errors import DataError
from usbench.io.console import out, say
from usbench.io.files import replacing
from usbench.runner import status as ledger

EVERY_S = 2.0
OPEN = ("missing", "running", "stale")


@dataclass(frozen=True)
class Line:
    """A cell of the sweep, as shown."""

    name: str
    key: str
    state: str
    words: str
    twice: int = 0


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


def plan_of(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The jobs of the plan. DataError where there is none, or something else."""
    folder = options.runs / "sweep"
    plans = sorted(folder.glob("plan-*.json"), key=lambda path: path.stat().st_mtime_ns)
    path = options.plan or (plans[-1] if plans else folder / "plan-*.json")
    try:
        return list(json.loads(path.read_text())["jobs"])
    except (OSError, ValueError, KeyError) as wrong:
        raise DataError(
            f"{path}: the plan of a sweep was wanted ({wrong}); begin one with -m or sweep="
        ) from wrong


def lines(jobs: Sequence[Mapping[str, Any]], runs: Path) -> Iterator[Line]:
    """A line for each cell, and for each combination that has none."""
    for job in jobs:
        if not job["cells"]:
            yield Line(
                job["name"],
                "–",
                "skipped" if job["skipped"] else "failed",
                job["skipped"] or job["failed"],
            )
        cells = [{**one, "runs": str(runs.absolute())} for one in job["cells"]]
        for n, (one, entry) in enumerate(zip(cells, ledger.entries(cells), strict=True)):
            name = job["name"] + (f" → {one['dataset']['name']}" if n else "")
            words = {
                "done": "–" if entry.value is None else f"{entry.value:.3f}",
                "running": f"{progress(runs / one['run_id'])}{entry.words}",
            }.get(entry.state, entry.words)
            yield Line(name, one["run_id"], entry.state, words, entry.twice)


def progress(folder: Path) -> str:
    """Up to which epoch a run has come."""
    with suppress(OSError, IndexError, csv.Error), (folder / "log.csv").open() as file:
        return f"epoch {list(csv.reader(file))[-1][0]}; "
    return ""


def summary(found: Sequence[Line]) -> str:
    """Cells by state, in a line."""
    counts = Counter(line.state for line in found)
    twice = sum(line.twice for line in found)
    words = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    return f"{len(found)} cells: {words}" + (f"; work done twice: {twice}" if twice else "")


def grid(found: Sequence[Line]) -> Table:
    """What people see."""
    shown = Table(title=summary(found), title_justify="left", title_style="bold")
    for name in ("cell", "run_id", "state", ""):
        shown.add_column(name)
    for line in found:
        shown.add_row(line.name, line.key, line.state, line.words)
    return shown


def status(options: argparse.Namespace) -> int:
    """Show, once or until the end; the exit code."""
    jobs = plan_of(options)
    found = list(lines(jobs, options.runs))
    if options.watch and out.is_terminal:
        with (
            Live(grid(found), console=out, auto_refresh=False) as live,
            suppress(KeyboardInterrupt),
        ):
            while any(line.state in OPEN for line in found):
                time.sleep(EVERY_S)
                found = list(lines(jobs, options.runs))
                live.update(grid(found), refresh=True)
    else:
        while options.watch and any(line.state in OPEN for line in found):
            say(summary(found))
            time.sleep(EVERY_S)
            found = list(lines(jobs, options.runs))
        out.print(grid(found))
    if options.json:
        with replacing(options.json) as part:
            part.write_text(
                json.dumps([vars(line) for line in found], indent=1) + "\n", encoding="utf-8"
            )
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    options = arguments(argv)
    return exit_code(lambda: status(options))


if __name__ == "__main__":
    sys.exit(main())
