"""Send MLflow what it lacks: of killed runs, and of runs that trained while it didn't answer.

    usbench sync [--runs DIR] [--json FILE] [RUN_ID …]

The store is MLFLOW_TRACKING_URI, else the SQLite file below runs. Curves come from a run's log.csv;
how it ended, its result and overlays from its mlflow.json, which is removed once everything was
sent. A run whose process is gone ends as KILLED; one that still runs, or ran on another host, is
left alone. Exit code 1 where a run couldn't be sent.
"""

from __future__ import annotations

from dataclasses import asdict

from usbench.cli.options import Options, make_parser, run_verb, write_json
from usbench.errors import UsbenchError
from usbench.io.console import say, track, warn
from usbench.runner.tracking.background import Sent, send_run, unsent_runs
from usbench.runner.tracking.mlflow_store import connect


def sync(options: Options) -> int:
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
    for run in sent:
        note = f"{run.values} values, {run.status}"
        if run.status == "RUNNING":
            note = "still runs, or did on another host: left alone"
        say(f"{run.key}: {note}")
    if not sent and not failed:
        say("nothing to send: the store has everything")
    write_json(options.json, {"runs": list(map(asdict, sent)), "failed": failed})
    return 1 if failed else 0


def main(argv: list[str] | None = None) -> int:
    """The command; its exit code: 0, 1 where the store can't be used or a run couldn't be sent."""
    parser = make_parser(__doc__, "write what was done as JSON too", "sync", ("runs",))
    every_run = "of runs; default: every run that has something unsent"
    parser.add_argument("run_ids", nargs="*", metavar="RUN_ID", help=every_run)
    return run_verb(sync, parser.parse_args(argv))
