"""Send MLflow what it doesn't have: of runs that went on while the store didn't answer, and of runs that were killed.

    python scripts/sync_mlflow.py [--runs DIR] [--json FILE] [KEY …]

The store is MLFLOW_TRACKING_URI, else the SQLite file below runs. Curves come from a run's log.csv; how it ended, its
record and overlays from its mlflow.json, which goes once everything was sent: a second time nothing is left to do.
A run whose process is gone ends as KILLED there; one that still runs, or ran on another host, is left alone. Exit code
1 where a run couldn't be sent.
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
from usbench.io.files import replacing
from usbench.runner.tracking import mlflow_store as tracking
from usbench.runner.tracking import sync as track_sync

ROOT = Path(__file__).resolve().parent.parent


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "keys",
        nargs="*",
        metavar="KEY",
        help="of runs; default: every run that has something unsent",
    )
    parser.add_argument(
        "--runs", type=Path, default=ROOT / "runs", metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was done as JSON too")
    return parser.parse_args(argv)


def sync(options: argparse.Namespace) -> int:
    """Send, say, write; the exit code."""
    folders = track_sync.unsent_runs(options.runs, tuple(options.keys))
    sent: list[track_sync.Sent] = []
    failed: dict[str, str] = {}
    if folders:
        client, uri = tracking.connect(options.runs)
        for folder in track(folders, "sending"):
            try:
                sent += [run] if (run := track_sync.send_run(folder, client, uri)) else []
            except UsbenchError as error:
                failed[folder.name] = str(error)
                warn(f"{folder.name}: {error}")
    show(sent, len(failed))
    if options.json:
        with replacing(options.json) as part:
            part.write_text(
                json.dumps({"runs": [asdict(run) for run in sent], "failed": failed}, indent=1)
                + "\n"
            )
    return 1 if failed else 0


def show(sent: Sequence[track_sync.Sent], failed: int) -> None:
    """A line per run, and one where there is nothing to do."""
    for run in sent:
        words = f"{run.values} values, {run.status}"
        words = (
            "still runs, or did on another host: left alone" if run.status == "RUNNING" else words
        )
        say(f"{run.key}: {words}")
    if not sent and not failed:
        say("nothing to send: the store has it all")


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code: 0, 1 where the store can't be used or a run couldn't be sent."""
    options = arguments(argv)
    return exit_code(lambda: sync(options))


if __name__ == "__main__":
    sys.exit(main())
