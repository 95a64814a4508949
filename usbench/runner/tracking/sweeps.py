"""The MLflow run of a sweep: the parent of its runs.

A sweep may train on many datasets, each of them an experiment, so the parents have an experiment
of their own. MLflow's page of an experiment lists its runs without parents from another one; the
page that compares experiments shows them as a tree where the parents' experiment is among them.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from usbench.io.console import warn
from usbench.runner.tracking.mlflow_store import (
    Status,
    ensure_experiment,
    mark_killed_runs,
    quiet,
    store_address,
    store_errors,
    usable,
)
from usbench.runner.tracking.text import one_line, process_tags, shorten

EXPERIMENT = "usbench/sweeps"


@dataclass(frozen=True)
class SweepRun:
    """A sweep's run in a store, while its command runs."""

    run_id: str  # MLflow's
    uri: str  # the store's address, without a password
    client: Any

    def end(self, status: Status) -> None:
        """Say how the command ended. A store that fails is reported; the results have it anyway."""
        try:
            with quiet():
                self.client.set_terminated(self.run_id, status)
        except store_errors() as error:
            warn(one_line(f"mlflow at {self.uri} failed ({error})") + "; results are unaffected")


def open_sweep_run(runs: Path, sweep_id: str, name: str) -> SweepRun:
    """Begin a sweep's run, or take up the one that an earlier start of the same sweep has begun.

    Args:
        runs: the folder of all runs.
        sweep_id: the same for each start of the sweep.
        name: the MLflow run's.

    Raises:
        RunError: the store can't be used.
    """
    uri, folder = store_address(runs)
    with usable(uri):
        from mlflow import MlflowClient

        with FileLock(folder / "mlflow.lock", timeout=300) if folder else nullcontext():
            client = MlflowClient(tracking_uri=uri)
            experiment_id = ensure_experiment(client, EXPERIMENT, folder)
            mark_killed_runs(client)
            same, order = f"tags.`usbench.sweep` = '{sweep_id}'", ["attributes.start_time ASC"]
            earlier = client.search_runs([experiment_id], same, order_by=order, max_results=1)
            tags = {"usbench.sweep": sweep_id, "mlflow.user": "usbench", **process_tags()}
            if not earlier:
                run = client.create_run(experiment_id, tags=tags, run_name=shorten(name))
                return SweepRun(run.info.run_id, one_line(uri), client)
            run_id = earlier[0].info.run_id
            for tag, value in process_tags().items():
                client.set_tag(run_id, tag, value)
            client.update_run(run_id, status="RUNNING")
    return SweepRun(run_id, one_line(uri), client)
