"""The record of a cell: what a finished or broken run says of itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from usbench import __version__
from usbench.datasets import source
from usbench.datasets.dataset import Dataset
from usbench.errors import ConfigError, UsbenchError
from usbench.metrics.scores import ProtocolScores, Scores
from usbench.results import scoring
from usbench.results import store as results
from usbench.runner import config as cell
from usbench.runner import machine, report
from usbench.runner.config import SELECTION, Cell, run_dir


def without_paths(one: Mapping[str, Any]) -> dict[str, Any]:
    """The resolved configuration as a record holds it: nothing of this machine's folders."""
    hidden_parts = ("root", "runs", "results", "debug", "tracking")
    left = {name: value for name, value in one.items() if name not in hidden_parts}
    if "trained" in left:
        left["trained"] = {"run_id": left["trained"]["run_id"]}
    node = dict(left["model"]["build"])
    if node.get("weights") and Path(node["weights"]).is_absolute():
        node["weights"] = Path(node["weights"]).name
    hidden = ("published", "access", "title", "citation", "root")
    dataset = {name: value for name, value in left["dataset"].items() if name not in hidden}
    return {**left, "dataset": dataset, "model": {**left["model"], "build": node}}


def base_record(one: Cell) -> dict[str, Any]:
    """What every record of a cell says, done or failed."""
    leak = one["dataset"].get("leakage")
    return {
        "schema": 2,
        "dataset": one["dataset"]["name"],
        "task": one["task"],
        "fold": one["fold"],
        "trained_on": one.get("trained_on"),
        "origin": "run",
        "model": one["model"]["name"],
        "recipe": one["recipe"],
        "seed": one["seed"],
        "run_id": one["run_id"],
        "series": one["series"],
        **({"tuned": one["tuned"]} if "tuned" in one else {}),
        "data": {
            "fingerprint": one["fingerprint"],
            "counts": {},
            "phantom": one["phantom"],
            "leakage": {
                "n": len(leak["images"]),
                "images": leak["images"],
                "description": leak["description"],
            }
            if leak
            else None,
            "splits": one["dataset"]["split"]["description"],
        },
        "config": without_paths(one),
        "code": machine.code_state(__version__),
        "machine": machine.describe(one["device"]),
        **dated(one["device"]),
        "device": one["device"].split(":")[0],
        "precision": one["precision"],
        "threads": one["threads"],
    }


def dated(device: str) -> dict[str, Any]:
    """The day, TF32, and why fields about a GPU are null."""
    on_cpu = ("tf32", "machine.gpu", "machine.cuda", "machine.cudnn", "machine.driver")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "tf32": machine.tf32(device),
        "reasons": dict.fromkeys(on_cpu, "ran on a CPU") if device == "cpu" else {},
    }


def failed_record(one: Cell, reason: str) -> dict[str, Any]:
    """A run that broke: a row with its reason."""
    return {**base_record(one), **fold_series(one), "status": "failed", "reason": reason}


def fold_series(one: Cell) -> dict[str, str]:
    """What the folds of one run share: the recipe of its fold 0, which the same data, split and settings give.

    Nothing without a fold, and where the data can't be opened.
    """
    if one["fold"] is None or one.get("trained_on"):
        return {}
    first = {**one, "fold": 0}
    try:
        dataset = source.open_dataset(first)
        drawn_here = one["phantom"] and not (Path(one["root"]) / source.MARK).is_file()
        series, _ = cell.run_ids(
            {**first, "fingerprint": cell.fingerprint(first, dataset, not drawn_here)}
        )
    except (UsbenchError, OSError):
        return {}
    return {"fold_series": series}


def done_record(
    one: Cell,
    dataset: Dataset,
    scores: Scores,
    chosen: float,
    seconds: dict[str, float],
    parameters: int | None,
) -> dict[str, Any]:
    """The record of a finished run. chosen: the selection rule's figure on validation; seconds: by stage."""
    record = base_record(one)
    record["data"]["counts"] = {split: len(part) for split, part in dataset.records.items()}
    groups = len({part.group for part in dataset.records["test"]})
    file, _ = scoring.predictions_of(run_dir(one), "test")
    return {
        **record,
        **fold_series(one),
        "status": "done",
        "reason": None,
        **scored(
            scores,
            one["metric"]["primary"],
            groups,
            protocol_description(one, scores.protocol.description),
        ),
        "validation": {"name": SELECTION[one["task"]][0], "value": chosen},
        "predictions": {
            "file": file.relative_to(one["runs"]).as_posix(),
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "n": len(dataset.records["test"]),
        },
        "seconds": seconds,
        "parameters": parameters,
    }


def scored(scores: Scores, primary: str, groups: int, words: str) -> dict[str, Any]:
    """What a record holds of its scores. groups: how many the test set has; words: the protocol's, for people.

    Raises ConfigError for a primary score that the protocol doesn't have.
    """
    protocol = scores.protocol
    if primary not in protocol.scores:
        raise ConfigError(
            f"metric.primary={primary}: one of {', '.join(protocol.scores)} was wanted"
        )

    def figures(ruled: ProtocolScores) -> dict[str, Any]:
        return {
            "target_score": report.figures(ruled.target_score, groups),
            "scores": report.figures(ruled.scores, groups),
            "per_class": {
                name: report.figures(part, groups) for name, part in ruled.per_class.items()
            },
        }

    others = scores.protocols[1:]
    return {
        "protocol": {"name": protocol.name, "version": protocol.version, "description": words},
        "primary": {
            "name": primary,
            "value": protocol.scores[primary].value,
            "higher_is_better": not results.lower_is_better(primary),
        },
        **figures(protocol),
        "protocols": {
            o.name: {"version": o.version, "description": o.description, **figures(o)}
            for o in others
        },
    }


def protocol_description(one: Cell, words: str) -> str:
    """The rule, how the view's truths are read, what the split assumes, and where intervals can't be trusted."""
    view = one["dataset"]["views"][one["task"]]
    told = [words]
    if one["task"] == "detect":
        told.append(f"truths: origin {view['box_origin']}, end {view['box_end']}")
    if view.get("protocol_description"):
        told.append(" ".join(str(view["protocol_description"]).split()))
    if one.get("trained_on"):
        pairs = [
            f"{theirs} as {ours}" for theirs, ours in one["class_map"].items() if theirs != ours
        ]
        told.append(
            f"trained on {one['trained_on']} alone" + (f", {', '.join(pairs)}" if pairs else "")
        )
        told += (
            [f"left out, for the model knows none such: {', '.join(one['left_out'])}"]
            if one["left_out"]
            else []
        )
    unknown = one["dataset"].get("unknown_groups")
    if unknown and not one["phantom"]:
        told.append(f"intervals are too narrow: {unknown}")
    return "; ".join(told)
