"""The story of one run: open, fit, predict, score, save. Without Hydra:

python -m usbench.runner.experiment CELL.yaml
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from usbench.datasets import source
from usbench.errors import ConfigError, RunError, UnsuitableError, UsbenchError
from usbench.io.config import build
from usbench.io.console import warn
from usbench.results import scoring
from usbench.results import store as results
from usbench.results.gallery import make as gallery
from usbench.results.gallery import overlay
from usbench.runner import config as cell
from usbench.runner import lock as claims
from usbench.runner import publication, records, report, transfer
from usbench.runner import status as ledger
from usbench.runner.identity import identify, short_hash
from usbench.runner.publication import ALONE, Hold
from usbench.runner.tracking import mlflow_store as track
from usbench.runner.tracking.background import later
from usbench.types import Model, Run

PARENT = "USBENCH_PARENT"  # set by the launcher: the child dies when its standard input closes


def benchmark(one: cell.Cell, hold: Hold = ALONE) -> dict[str, Any]:
    """Do one cell; its record, saved. A killed run goes on from its last epoch."""
    folder = cell.run_dir(one)
    dataset = source.open_dataset(one)
    train, val, test = dataset.samples("train"), dataset.samples("val"), dataset.samples("test")
    clock = Clock()
    tracker = open_tracker(one, folder)
    journal = Journal(folder / "log.csv", tracker, hold.check)
    try:
        model, run = prepare(one, folder, journal, len(dataset.classes), dataset.exclusive)
        model.fit(train, val, run)
        clock.lap("fit")
        hold.check()
        scoring.write_predictions(folder, "val", val, model.predict(val.images()))
        scoring.write_predictions(folder, "test", test, model.predict(test.images()))
        clock.lap("predict")
        leak = one["dataset"].get("leakage") or {}
        chosen = scoring.select(folder, val)
        scores = scoring.score(one["metric"], folder, test, val, leak.get("images", ()))
        clock.lap("score")
        clock.laps["fit"] = round(clock.laps["fit"] + journal.before, 1)
        record = records.done_record(
            one, dataset, scores, chosen, clock.laps, getattr(model, "parameters", None)
        )
        pictures = overlay.draw(one, folder, test, scores.cases)
        path = hold.put(
            one,
            record,
            results.mask_ids(scores.cases, one["dataset"]["redistribute"], dataset.name),
        )
        tracker.finish(
            "FINISHED", record, pictures if one["dataset"]["redistribute"] == "images" else ()
        )
    except BaseException:
        tracker.finish("FAILED", None)
        raise
    if one.get("study"):
        report.trial(record)
    else:
        report.final(record, path, pictures)
        gallery.after_run(one, path)
    return record


def evaluate(one: cell.Cell, hold: Hold = ALONE) -> dict[str, Any]:
    """Do a cell of another dataset's test images with the weights of a finished run; its record, saved."""
    folder, clock = Path(one["trained"]["runs"]) / one["trained"]["run_id"], Clock()
    trained = cell.read(folder / "cell.yaml")
    model = restored(
        {**trained, **{part: one[part] for part in ("device", "precision", "threads")}}, folder
    )
    clock.lap("load")
    record = transfer.evaluate(one, trained, model, clock, hold)
    gallery.after_run(one, results.record_path(Path(one["results"]), record))
    return record


def restored(one: cell.Cell, folder: Path) -> Model:
    """A finished run's model with its best weights; RunError where they aren't there."""
    if not sorted(folder.glob("best.*")):
        raise RunError(
            f"{folder}: the weights of a finished run were wanted (best.*), found none; run it again"
        )
    view = one["dataset"]["views"][one["task"]]
    journal = Journal(folder / "log.csv", track.Untracked())
    model, run = prepare(
        one, folder, journal, len(view["classes"]), bool(view.get("exclusive", False))
    )
    if not hasattr(model, "restore"):
        raise ConfigError(
            f"model={one['model']['name']}: its class has no restore(run), which takes up stored weights again"
        )
    model.restore(run)
    return model


def prepare(
    one: cell.Cell, folder: Path, journal: Journal, classes: int, exclusive: bool
) -> tuple[Model, Run]:
    """The model, and what it is told about its run; torch is imported here."""
    import torch

    if one["device"] != "cpu" and not torch.cuda.is_available():
        raise RunError(
            f"device={one['device']}: this torch ({torch.__version__}) can't use it; take device=cpu"
        )
    torch.set_num_threads(one["threads"])
    node = one["model"]
    model: Model = build(node["build"], classes=classes, exclusive=exclusive, recipe=node["recipe"])
    score = scoring.SELECTION[one["task"]]
    layout = one["dataset"]["views"][one["task"]]["layout"]
    cache = Path(one["runs"]) / "cache" / short_hash([one["fingerprint"], identify(layout)])
    return model, Run(
        folder,
        one["device"],
        one["seed"],
        one["precision"],
        one["threads"],
        score,
        journal.log,
        cache,
    )


@dataclass
class Clock:
    """Seconds per stage."""

    start: float = field(default_factory=time.monotonic)
    laps: dict[str, float] = field(default_factory=dict)

    def lap(self, name: str) -> None:
        """The time since the last lap belongs to `name`."""
        now = time.monotonic()
        self.laps[name], self.start = round(now - self.start, 1), now


class Journal:
    """Curves as a CSV in the run folder (step, name, value, seconds), and to the tracker; it outlives a kill.

    check: asked before each figure, and so before each checkpoint, which an adapter writes right after its figures.
    """

    def __init__(
        self, path: Path, tracker: track.Tracker, check: Callable[[], None] = ALONE.check
    ) -> None:
        self.path, self.tracker, self.check, self.start = path, tracker, check, time.monotonic()
        rows = list(csv.reader(path.open())) if path.is_file() else []
        whole = [row for row in rows if len(row) == 4 and row[0].isdigit()]
        self.before = max(
            (float(row[3]) for row in whole), default=0.0
        )  # seconds of the runs that this one goes on from

    def log(self, name: str, value: float, step: int) -> None:
        """One figure of one epoch."""
        self.check()
        seconds = self.before + time.monotonic() - self.start
        with self.path.open("a") as file:
            csv.writer(file).writerow((step, name, value, f"{seconds:.1f}"))
        self.tracker.log(name, value, step)


def open_tracker(one: cell.Cell, folder: Path) -> track.Tracker:
    """The run's tracker, told the key figures of the configuration; training never waits for it."""
    recipe = {
        f"recipe.{name}": value
        for name, value in one["model"]["recipe"].items()
        if not isinstance(value, dict)
    }
    params = {
        **{
            name: one[name]
            for name in ("task", "recipe", "seed", "fold", "precision", "device", "threads")
        },
        "dataset": one["dataset"]["name"],
        "model": one["model"]["name"],
        **recipe,
    }
    tracker = track.open_tracker(
        one["tracking"],
        runs=Path(one["runs"]),
        experiment=f"usbench/{one['dataset']['name']}-{one['task']}",
        name=f"{one['model']['name']}-s{one['seed']}-{one['run_id']}",
        key=one["run_id"],
        params=params,
        tags={"usbench.phantom": str(one["phantom"]).lower()},
        config=public_config(one, folder),
    )
    return later(tracker, folder)


def public_config(one: cell.Cell, folder: Path) -> Path:
    """The resolved configuration without paths, as a file."""
    path = folder / "config.yaml"
    cell.write(records.without_paths(one), path)
    return path


# ---- the child process


def die_with_parent() -> None:
    """End this process when the launcher does: its end of the pipe closes, however it died."""

    def watch() -> None:
        while os.read(0, 1):  # not sys.stdin: its lock would be held at the interpreter's end
            pass
        os._exit(143)

    threading.Thread(target=watch, daemon=True).start()


def run_cell(one: cell.Cell) -> int:
    """Do a cell that nobody else is doing; a run that breaks leaves a failed record with its reason. The exit code."""
    folder = cell.run_dir(one)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        claim = claims.take(claims.path_of(folder))
    except (UsbenchError, OSError) as error:
        return broken(one, error)
    if claim is None:
        warn(f"{folder}: another process is doing this run; wait for it")
        return 1
    with claim:
        try:
            return held(one, folder, Hold(claim, one.pop("overwrite", False)))
        except claims.LostError as error:
            with suppress(OSError):
                (folder / f"lost-{claim.token[:12]}.json").touch()
            warn(str(error))
            return 1
        except (Exception, SystemExit) as error:  # noqa: BLE001  (whatever it was, the sweep's table wants its reason)
            return broken(one, error)


def held(one: cell.Cell, folder: Path, hold: Hold) -> int:
    """Do a cell that this process holds, unless it was done between the decision and now. The exit code."""
    (folder / ledger.REFUSED).unlink(missing_ok=True)
    if hold.overwrite:
        start_anew(one, folder)
    elif ledger.is_done(one):
        return 0
    if one.get("trained_on"):
        evaluate(one, hold)
    else:
        benchmark(one, hold)
    return 0


def broken(one: cell.Cell, error: BaseException) -> int:
    """Tell why a run ended early, here and in a failed record, or as refused where it can't be run at all."""
    reason = words_of(error)
    warn(traceback.format_exc() if one["debug"] else reason)
    if isinstance(error, UnsuitableError):
        (cell.run_dir(one) / ledger.REFUSED).write_text(json.dumps({"reason": reason}))
    else:
        save_failure(one, reason)
    return int(getattr(error, "exit_code", 1))


def start_anew(one: cell.Cell, folder: Path) -> None:
    """overwrite=true: what an earlier run left goes, once nobody else is at it."""
    shutil.rmtree(folder)
    cell.write(one, folder / "cell.yaml")
    folder.with_suffix(".yaml").unlink(missing_ok=True)


def words_of(error: BaseException) -> str:
    """One line."""
    text = " ".join(str(error).split())
    if isinstance(error, UsbenchError):
        return text
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}; check the folder, its permissions and the free space"
    return f"{type(error).__name__}: {text} (debug=true shows where)"


def save_failure(one: cell.Cell, reason: str) -> None:
    """A failed record, where one can be written at all."""
    try:
        kept = cell.run_dir(one) / publication.REPLACED
        publication.publish(Path(one["results"]), records.failed_record(one, reason), None, kept)
    except UsbenchError as error:
        warn(str(error))


def main(arguments: list[str]) -> int:
    """python -m usbench.runner.experiment CELL.yaml"""
    # of timm < 1.0.23, which nnunetv2 wants, on a torch of today
    warnings.filterwarnings("ignore", r"`torch\.jit", FutureWarning)
    if len(arguments) != 1:
        warn(
            "usage: python -m usbench.runner.experiment CELL.yaml (runs/<key>/cell.yaml of an earlier run)"
        )
        return 2
    if os.environ.pop(PARENT, None):
        die_with_parent()
    try:
        one = cell.read(Path(arguments[0]))
    except UsbenchError as error:
        warn(str(error))
        return error.exit_code
    return run_cell(one)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
