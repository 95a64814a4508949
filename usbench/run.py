"""The story of one run: open, fit, predict, score, save. Also `python -m usbench.run CELL.yaml`, without Hydra."""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from usbench import __version__, cell, machine, overlay, report, results, scoring, track
from usbench.console import warn
from usbench.errors import ConfigError, RunError, UsbenchError
from usbench.metrics.scores import Scores
from usbench.targets import build
from usbench.types import Model, Run

PARENT = "USBENCH_PARENT"  # set by the launcher: the child dies when its standard input closes


def benchmark(one: cell.Cell) -> dict[str, Any]:
    """Do one cell; its record, saved. A killed run goes on from its last epoch."""
    folder = cell.run_dir(one)
    dataset = cell.open_dataset(one)
    train, val, test = dataset.samples("train"), dataset.samples("val"), dataset.samples("test")
    clock = Clock()
    tracker = open_tracker(one, folder)
    journal = Journal(folder / "log.csv", tracker)
    try:
        model, run = prepare(one, folder, journal, len(dataset.classes), dataset.exclusive)
        model.fit(train, val, run)
        clock.lap("fit")
        scoring.write_predictions(folder, "val", val, model.predict(val.images()))
        scoring.write_predictions(folder, "test", test, model.predict(test.images()))
        clock.lap("predict")
        leak = one["dataset"].get("leak") or {}
        chosen = scoring.select(folder, val)
        scores = scoring.score(one["metric"], folder, "test", test, leak.get("images", ()))
        clock.lap("score")
        clock.laps["fit"] += journal.before
        record = done_record(one, scores, chosen, clock.laps, getattr(model, "parameters", None), folder)
        pictures = overlay.draw(one, folder, test, scores.cases)
        path = results.save(
            Path(one["results"]), record, results.mask_ids(scores.cases, one["dataset"]["share"], dataset.name)
        )
        tracker.finish("FINISHED", record, pictures if one["dataset"]["share"] == "open" else ())
    except BaseException:
        tracker.finish("FAILED", None)
        raise
    report.final(record, path, pictures)
    return record


def prepare(one: cell.Cell, folder: Path, journal: Journal, classes: int, exclusive: bool) -> tuple[Model, Run]:
    """The model, and what it is told about its run; torch is imported here."""
    import torch

    if one["device"] != "cpu" and not torch.cuda.is_available():
        raise RunError(f"device={one['device']}: this torch ({torch.__version__}) can't use it; take device=cpu")
    torch.set_num_threads(one["threads"])
    node = one["model"]
    model: Model = build(node["build"], classes=classes, exclusive=exclusive, budget=node["budget"])
    score, cache = scoring.SELECTION[one["task"]], Path(one["runs"]) / "cache" / one["fingerprint"][:16]
    return model, Run(folder, one["device"], one["seed"], one["precision"], one["threads"], score, journal.log, cache)


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
    """Curves as a CSV in the run folder (step, name, value, seconds), and to the tracker; it outlives a kill."""

    def __init__(self, path: Path, tracker: track.Tracker) -> None:
        self.path, self.tracker, self.start = path, tracker, time.monotonic()
        rows = list(csv.reader(path.open())) if path.is_file() else []
        whole = [row for row in rows if len(row) == 4 and row[0].isdigit()]
        self.before = max(
            (float(row[3]) for row in whole), default=0.0
        )  # seconds of the runs that this one goes on from

    def log(self, name: str, value: float, step: int) -> None:
        """One figure of one epoch."""
        seconds = self.before + time.monotonic() - self.start
        with self.path.open("a") as file:
            csv.writer(file).writerow((step, name, value, f"{seconds:.1f}"))
        self.tracker.log(name, value, step)


def open_tracker(one: cell.Cell, folder: Path) -> track.Tracker:
    """The run's tracker, told the key figures of the configuration."""
    budget = {f"budget.{name}": value for name, value in one["model"]["budget"].items() if not isinstance(value, dict)}
    params = {
        **{name: one[name] for name in ("task", "budget", "seed", "fold", "precision", "device", "threads")},
        "dataset": one["dataset"]["name"],
        "model": one["model"]["name"],
        **budget,
    }
    return track.open_tracker(
        one["tracking"],
        runs=Path(one["runs"]),
        experiment=f"usbench/{one['dataset']['name']}-{one['task']}",
        name=f"{one['model']['name']}-s{one['seed']}-{one['key']}",
        key=one["key"],
        params=params,
        tags={"usbench.phantom": str(one["phantom"]).lower()},
        config=public_config(one, folder),
    )


# ---- records


def without_paths(one: Mapping[str, Any]) -> dict[str, Any]:
    """The resolved configuration as a record holds it: nothing of this machine's folders."""
    left = {name: value for name, value in one.items() if name not in ("root", "runs", "results", "debug", "tracking")}
    node = dict(left["model"]["build"])
    if node.get("weights") and Path(node["weights"]).is_absolute():
        node["weights"] = Path(node["weights"]).name
    hidden = ("published", "access", "title", "citation", "root")
    dataset = {name: value for name, value in left["dataset"].items() if name not in hidden}
    return {**left, "dataset": dataset, "model": {**left["model"], "build": node}}


def public_config(one: cell.Cell, folder: Path) -> Path:
    """The resolved configuration without paths, as a file."""
    path = folder / "config.yaml"
    cell.write(without_paths(one), path)
    return path


def base_record(one: cell.Cell) -> dict[str, Any]:
    """What every record of a cell says, done or failed."""
    gpu = None
    if one["device"] != "cpu" and "torch" in sys.modules:
        gpu = sys.modules["torch"].cuda.get_device_name(one["device"])
    leak = one["dataset"].get("leak")
    return {
        "schema": 1,
        "dataset": one["dataset"]["name"],
        "task": one["task"],
        "fold": one["fold"],
        "trained_on": None,
        "origin": "run",
        "model": one["model"]["name"],
        "budget": one["budget"],
        "seed": one["seed"],
        "key": one["key"],
        "recipe": one["recipe"],
        "data": {
            "fingerprint": one["fingerprint"],
            "counts": {},
            "phantom": one["phantom"],
            "leak": {"n": len(leak["images"]), "images": leak["images"], "words": leak["words"]} if leak else None,
            "splits": one["dataset"]["split"]["words"],
        },
        "config": without_paths(one),
        "code": machine.code_state(__version__),
        "machine": machine.describe(gpu),
        "device": one["device"].split(":")[0],
        "precision": one["precision"],
        "threads": one["threads"],
    }


def failed_record(one: cell.Cell, reason: str) -> dict[str, Any]:
    """A run that broke: a row with its reason."""
    return {**base_record(one), "status": "failed", "reason": reason}


def done_record(
    one: cell.Cell, scores: Scores, chosen: float, seconds: dict[str, float], parameters: int | None, folder: Path
) -> dict[str, Any]:
    """The record of a finished run (DESIGN section 4)."""
    record, ruler, primary = base_record(one), scores.ruler, one["metric"]["primary"]
    if primary not in ruler.scores:
        raise ConfigError(f"metric.primary={primary}: one of {', '.join(ruler.scores)} was wanted")
    dataset = cell.open_dataset(one)
    record["data"]["counts"] = {split: len(part) for split, part in dataset.records.items()}
    groups = len({part.group for part in dataset.records["test"]})
    file, _ = scoring.predictions_of(folder, "test")
    return {
        **record,
        "status": "done",
        "reason": None,
        "ruler": {"name": ruler.name, "version": ruler.version, "words": ruler_words(one, ruler.words)},
        "primary": {"name": primary, "value": ruler.scores[primary].value, "higher_is_better": True},
        "ceiling": report.figures(ruler.ceiling, groups),
        "scores": report.figures(ruler.scores, groups),
        "per_class": {name: report.figures(part, groups) for name, part in ruler.per_class.items()},
        "rulers": {
            other.name: {
                "version": other.version,
                "words": other.words,
                "ceiling": report.figures(other.ceiling, groups),
                "scores": report.figures(other.scores, groups),
                "per_class": {name: report.figures(part, groups) for name, part in other.per_class.items()},
            }
            for other in scores.ruled[1:]
        },
        "validation": {"name": cell.SELECTION[one["task"]][0], "value": chosen},
        "predictions": {
            "file": file.relative_to(one["runs"]).as_posix(),
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "n": len(dataset.records["test"]),
        },
        "seconds": seconds,
        "parameters": parameters,
    }


def ruler_words(one: cell.Cell, words: str) -> str:
    """The rule, and how the view's boxes are read."""
    view = one["dataset"]["views"][one["task"]]
    if one["task"] != "detect":
        return words
    return f"{words}; truths: origin {view['box_origin']}, end {view['box_end']}"


# ---- the child process


def die_with_parent() -> None:
    """End this process when the launcher does: its end of the pipe closes, however it died."""

    def watch() -> None:
        while os.read(0, 1):  # not sys.stdin: its lock would be held at the interpreter's end
            pass
        os._exit(143)

    threading.Thread(target=watch, daemon=True).start()


def run_cell(one: cell.Cell) -> int:
    """Do a cell; a run that breaks leaves a failed record with its reason. Returns the exit code."""
    folder = cell.run_dir(one)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock", timeout=0):
            if one.pop("overwrite", False):
                start_anew(one, folder)
            benchmark(one)
        return 0
    except Timeout:
        warn(f"{folder}: another process is doing this run; wait for it")
        return 1
    except (UsbenchError, Exception) as error:  # noqa: BLE001  (whatever it was, the sweep's table wants its reason)
        reason = words_of(error)
        warn(traceback.format_exc() if one["debug"] else reason)
        code = getattr(error, "exit_code", 1)
        if code != 2:
            save_failure(one, reason)
        return int(code)


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
        results.save(Path(one["results"]), failed_record(one, reason))
    except UsbenchError as error:
        warn(str(error))


def main(arguments: list[str]) -> int:
    """python -m usbench.run CELL.yaml"""
    if len(arguments) != 1:
        warn("usage: python -m usbench.run CELL.yaml (runs/<key>/cell.yaml of an earlier run)")
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
