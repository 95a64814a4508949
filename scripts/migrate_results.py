"""Rewrite committed results of schema 1 as schema 2: new field names, run ids and file names.

    python scripts/migrate_results.py [--results results]

Scores, case tables and prediction hashes stay as they are. Fields that an old result can't know are
null with the reason "not recorded". Run once; pages and the leaderboard are then made anew.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

from usbench.datasets.codecs import replacing
from usbench.results import store
from usbench.results.gallery import file as gallery_file
from usbench.results.schema import fault
from usbench.runner import config as run_config

MODULES = {
    "usbench.datasets.index_masks.": "usbench.datasets.layouts.index_masks.",
    "usbench.datasets.kidney.": "usbench.datasets.layouts.kidney.",
    "usbench.models.own.Own": "usbench.models.custom.Own",
    "usbench.models.detector.Detector": "usbench.models.detector.model.Detector",
    "usbench.models.yolo.Yolo": "usbench.models.yolo.model.Yolo",
}
UNKNOWN = ("date", "tf32", "machine.cuda", "machine.cudnn", "machine.driver")
BESIDE = (".cases.csv.gz", ".gallery.json.gz", ".html")


def with_new_modules(node: Any) -> Any:
    """A configuration node with the classes' modules of today."""
    if isinstance(node, dict):
        return {key: with_new_modules(value) for key, value in node.items()}
    if isinstance(node, list):
        return [with_new_modules(value) for value in node]
    if isinstance(node, str):
        for old, new in MODULES.items():
            if node.startswith(old):
                return new + node.removeprefix(old)
    return node


def renamed(node: dict[str, Any], **names: str) -> dict[str, Any]:
    """A mapping with some keys renamed, in their place."""
    return {names.get(key, key): value for key, value in node.items()}


def new_figure(figure: dict[str, Any]) -> dict[str, Any]:
    """A figure with the method of its interval."""
    method = None if figure["low"] is None else "percentile"
    kept = {key: figure[key] for key in ("value", "low", "high")}
    return {**kept, "method": method, **{k: v for k, v in figure.items() if k not in kept}}


def new_scores(scores: dict[str, Any]) -> dict[str, Any]:
    """Scores by name, each with its method."""
    return {name: new_figure(figure) for name, figure in scores.items()}


def new_tables(node: dict[str, Any]) -> dict[str, Any]:
    """What a protocol gave: target scores, scores, scores per class."""
    tables = renamed(node, ceiling="target_score", words="description")
    for name in ("target_score", "scores"):
        if isinstance(tables.get(name), dict):
            tables[name] = new_scores(tables[name])
    if "per_class" in tables:
        tables["per_class"] = {
            label: new_scores(part) for label, part in tables["per_class"].items()
        }
    return tables


def new_leakage(leak: dict[str, Any] | None) -> dict[str, Any] | None:
    """What is known of train–test leakage."""
    return renamed(leak, words="description") if leak else None


def new_dataset(node: dict[str, Any]) -> dict[str, Any]:
    """The dataset's configuration."""
    dataset = renamed(with_new_modules(node), leak="leakage", share="redistribute")
    if "split" in dataset:
        dataset["split"] = renamed(dataset["split"], words="description")
    if "leakage" in dataset:
        dataset["leakage"] = new_leakage(dataset["leakage"])
    if "redistribute" in dataset:
        dataset["redistribute"] = {"open": "images", "none": "none"}[dataset["redistribute"]]
    views = dataset.get("views", {})
    names = {"rules": "protocols", "ruler_words": "protocol_description"}
    if views:
        dataset["views"] = {task: renamed(view, **names) for task, view in views.items()}
    return dataset


def new_config(node: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    """The resolved configuration, with the run id of today."""
    config = renamed(with_new_modules(node), recipe="series", budget="recipe", key="run_id")
    config["dataset"] = new_dataset(node["dataset"])
    if "metric" in config:
        config["metric"] = renamed(config["metric"], rules="protocols")
    if "model" not in config:
        return config
    config["model"] = renamed(config["model"], recipe="version", budget="recipe")
    if record["origin"] == "run":
        config["series"], config["run_id"] = run_config.run_ids(config)
    return config


def new_record(old: dict[str, Any]) -> dict[str, Any]:
    """A result of schema 2."""
    names = {"recipe": "series", "budget": "recipe", "key": "run_id", "ruler": "protocol"}
    record = renamed(new_tables(old), rulers="protocols", fold_set="fold_series", **names)
    record["schema"] = 2
    record["origin"] = {"control": "baseline"}.get(record["origin"], record["origin"])
    record["config"] = new_config(old["config"], old)
    if record["protocol"]:
        record["protocol"] = renamed(record["protocol"], words="description")
    record["protocols"] = {name: new_tables(part) for name, part in record["protocols"].items()}
    record["data"] = renamed(record["data"], leak="leakage")
    record["data"]["leakage"] = new_leakage(record["data"].get("leakage"))
    record["machine"] = {**record["machine"], "cuda": None, "cudnn": None, "driver": None}
    record |= {"date": None, "tf32": None, "reasons": dict.fromkeys(UNKNOWN, "not recorded")}
    if record["origin"] == "run":
        record |= {key: record["config"][key] for key in ("series", "run_id")}
        record["predictions"]["file"] = f"{record['run_id']}/predictions-test.json"
    return record


def migrate(path: Path, top: Path) -> Path:
    """Write a result's files under their new names and remove the old ones; the new path."""
    old = json.loads(path.read_text("utf-8"))
    record = new_record(old)
    target = store.record_path(top, record)
    if record["cases"]:
        record["cases"] = target.stem + store.CASES
    wrong = fault(record)
    assert wrong is None, f"{path}: {wrong}"
    for suffix in BESIDE:
        beside = path.with_name(path.stem + suffix)
        if suffix == ".html":
            beside.unlink(missing_ok=True)
        elif beside.exists():
            beside.rename(target.with_name(target.stem + suffix))
    path.unlink()
    store.write_all({target: store._encode(record)})
    gallery = gallery_file.path_of(target)
    if gallery.exists():
        drawn = renamed(json.loads(gzip.decompress(gallery.read_bytes())), key="run_id")
        drawn["run_id"] = record["run_id"]
        with replacing(gallery) as part:
            part.write_bytes(gallery_file.encode(drawn))
        gallery_file.load(target, record)
    if record["cases"]:
        table = target.with_name(record["cases"]).read_bytes()
        assert hashlib.sha256(table).hexdigest() == record["cases_sha256"] == old["cases_sha256"]
    return target


def main() -> None:
    """Migrate every result below the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    top = parser.parse_args().results
    for path in sorted(top.glob("*/*/*.json")):
        print(path, "→", migrate(path, top).name)  # noqa: T201


if __name__ == "__main__":
    main()
