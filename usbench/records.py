"""The record of a cell: what a finished or broken run says of itself."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from usbench import __version__, machine, report, results, scoring
from usbench.cell import SELECTION, Cell, run_dir
from usbench.datasets.dataset import Dataset
from usbench.errors import ConfigError
from usbench.metrics.scores import Scores


def without_paths(one: Mapping[str, Any]) -> dict[str, Any]:
    """The resolved configuration as a record holds it: nothing of this machine's folders."""
    left = {name: value for name, value in one.items() if name not in ("root", "runs", "results", "debug", "tracking")}
    node = dict(left["model"]["build"])
    if node.get("weights") and Path(node["weights"]).is_absolute():
        node["weights"] = Path(node["weights"]).name
    hidden = ("published", "access", "title", "citation", "root")
    dataset = {name: value for name, value in left["dataset"].items() if name not in hidden}
    return {**left, "dataset": dataset, "model": {**left["model"], "build": node}}


def base_record(one: Cell) -> dict[str, Any]:
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


def failed_record(one: Cell, reason: str) -> dict[str, Any]:
    """A run that broke: a row with its reason."""
    return {**base_record(one), "status": "failed", "reason": reason}


def done_record(
    one: Cell, dataset: Dataset, scores: Scores, chosen: float, seconds: dict[str, float], parameters: int | None
) -> dict[str, Any]:
    """The record of a finished run. chosen: the selection rule's figure on validation; seconds: by stage."""
    record, ruler, primary = base_record(one), scores.ruler, one["metric"]["primary"]
    if primary not in ruler.scores:
        raise ConfigError(f"metric.primary={primary}: one of {', '.join(ruler.scores)} was wanted")
    record["data"]["counts"] = {split: len(part) for split, part in dataset.records.items()}
    groups = len({part.group for part in dataset.records["test"]})
    file, _ = scoring.predictions_of(run_dir(one), "test")
    return {
        **record,
        "status": "done",
        "reason": None,
        "ruler": {"name": ruler.name, "version": ruler.version, "words": ruler_words(one, ruler.words)},
        "primary": {
            "name": primary,
            "value": ruler.scores[primary].value,
            "higher_is_better": not primary.endswith(results.LOWER),
        },
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
        "validation": {"name": SELECTION[one["task"]][0], "value": chosen},
        "predictions": {
            "file": file.relative_to(one["runs"]).as_posix(),
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "n": len(dataset.records["test"]),
        },
        "seconds": seconds,
        "parameters": parameters,
    }


def ruler_words(one: Cell, words: str) -> str:
    """The rule, how the view's truths are read, and what the split assumes."""
    view = one["dataset"]["views"][one["task"]]
    told = [words]
    if one["task"] == "detect":
        told.append(f"truths: origin {view['box_origin']}, end {view['box_end']}")
    if view.get("ruler_words"):
        told.append(" ".join(str(view["ruler_words"]).split()))
    return "; ".join(told)
