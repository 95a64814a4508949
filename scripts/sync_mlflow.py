"""Send MLflow what it lacks: of killed runs, and of runs that trained while it didn't answer.

    python scripts/sync_mlflow.py [--runs DIR] [--json FILE] [RUN_ID …]

The store is MLFLOW_TRACKING_URI, else the SQLite file below runs. Curves come from a run's log.csv;
how it ended, its result and overlays from its mlflow.json, which is removed once everything was
sent. A run whose process is gone ends as KILLED; one that still runs, or ran on another host, is
left alone. Exit code 1 where a run couldn't be sent.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from usbench.cli.overrides import exit_code
from usbench.errors import UsbenchError
from usbench.io.console import say, track, warn
from usbench.io.files import write_atomically
from usbench.runner.tracking.background import Sent, send_run, unsent_runs
from usbench.runner.tracking.mlflow_store import connect

ROOT = Path(__file__).resolve().parent.parent


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "run_ids",
        nargs="*",
        metavar="RUN_ID",
        help="of runs; default: every run that has something unsent",
    )
    parser.add_argument(
        "--runs", type=Path, default=ROOT / "runs", metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was done as JSON too")
    return parser.parse_args(argv)


def sync(options: argparse.Namespace) -> int:
    """Send, show, write; the exit code."""
    folders = unsent_runs(options.runs, tuple(options.run_ids))
    sent: list[Sent] = []
    failed: dict[str, str] = {}
    if folders:
        client, uri = connect(options.runs)
        for folder in track(folders, "sending"):
            try:
                run = send_run(folder, client, uri)
            except UsbenchError as error:
                failed[folder.name] = str(error)
                warn(f"{folder.name}: {error}")
            else:
                sent += [run] if run else []
    show(sent, len(failed))
    if options.json:
        content = {"runs": [asdict(run) for run in sent], "failed": failed}
        write_atomically(options.json, json.dumps(content, indent=1) + "\n")
    return 1 if failed else 0


def show(sent: Sequence[Sent], failed: int) -> None:
    """Print a line per run, and one where there is nothing to do."""
    for run in sent:
        note = f"{run.values} values, {run.status}"
        if run.status == "RUNNING":
            note = "still runs, or did on another host: left alone"
        say(f"{run.key}: {note}")
    if not sent and not failed:
        say("nothing to send: the store has everything")


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code: 0, 1 where the store can't be used or a run couldn't be sent."""
    options = arguments(argv)
    return exit_code(lambda: sync(options))


if __name__ == "__main__":
    sys.exit(main())
