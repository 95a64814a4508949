"""Where a cell's data comes from: the release at its place, or a phantom drawn in the release's format below runs."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from usbench.datasets.dataset import Dataset, open_view
from usbench.datasets.phantoms import phantom
from usbench.errors import ConfigError, DataError, RunError
from usbench.io.config import build
from usbench.io.console import say, track
from usbench.types import Task

MARK = "PHANTOM.json"  # left by scripts/phantom.py: whatever their folders are called, the files were drawn


def locate(config: Mapping[str, Any]) -> tuple[bool, Path]:
    """(real?, root) by the rules of source=auto|real|phantom. DataError where a release was named and isn't there."""
    dataset, source = config["dataset"], config["source"]
    if source not in ("auto", "real", "phantom"):
        raise ConfigError(f"source={source}: auto, real or phantom was wanted")
    data = config["data"] or os.environ.get("USBENCH_DATA")
    named = dataset["root"] or data
    root = (
        Path(str(dataset["root"]))
        if dataset["root"]
        else Path(str(data or "data")) / dataset["name"]
    )
    if source == "phantom" or not dataset["released"]:
        if source == "real":
            raise ConfigError(
                f"source=real: {dataset['name']} has no release, it is always a phantom"
            )
        return False, root.absolute()
    if root.is_dir():
        return True, root.absolute()
    if named or source == "real":
        raise DataError(
            f"{root}: the release of {dataset['name']} was wanted here, found nothing; {dataset['access']}"
        )
    return False, root.absolute()


def without_release(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """The dataset's YAML without what holds for the real images only: leaks, near-duplicates, published figures."""
    plain = {name: value for name, value in dataset.items() if name not in ("leakage", "published")}
    plain["split"] = {
        name: value for name, value in dataset["split"].items() if name != "near_duplicates"
    }
    return plain


def layout_of(cell: Mapping[str, Any]) -> Any:
    """The view's layout; a release's known defects are told to it, a phantom has none."""
    view = cell["dataset"]["views"][cell["task"]]
    defects = {} if cell["phantom"] else view.get("known_defects", {})
    return build(view["layout"], classes=tuple(view["classes"] or ()), **defects)


def with_classes(dataset: Mapping[str, Any], task: Task, classes: Sequence[str]) -> dict[str, Any]:
    """The dataset's YAML with the classes that the release itself names, where the YAML leaves them to it."""
    view = dataset["views"][task]
    if view["classes"]:
        return dict(dataset)
    return {**dataset, "views": {**dataset["views"], task: {**view, "classes": list(classes)}}}


def open_dataset(cell: Mapping[str, Any]) -> Dataset:
    """Index the cell's view; of an evaluation on another dataset only the classes that the model knows."""
    dataset, task = cell["dataset"], cell["task"]
    whole = open_view(
        dataset["name"],
        task,
        dataset["views"][task],
        layout_of(cell),
        Path(cell["root"]),
        dataset["split"],
        None if cell.get("trained_on") else cell["fold"],
    )
    return whole.narrow_to(cell["classes"]) if cell.get("trained_on") else whole


def spec_of(dataset: Mapping[str, Any]) -> phantom.PhantomSpec:
    """The dataset's phantom, from its YAML."""
    node = dataset["phantom"]
    figures = [node["seed"], node["per_group"], *node["size"], *node["counts"].values()]
    if not all(isinstance(figure, int) for figure in figures):
        raise ConfigError(
            f"dataset.phantom: seed, per_group, size and counts are whole numbers, found {figures}"
        )
    return phantom.PhantomSpec(
        **{**node, "size": tuple(node["size"]), "counts": dict(node["counts"])}
    )


def phantom_fingerprint(cell: Mapping[str, Any]) -> str:
    """sha256 of the generator's version, its parameters and the view that is written."""
    facts = [
        phantom.VERSION,
        asdict(spec_of(cell["dataset"])),
        cell["dataset"]["name"],
        cell["task"],
        cell["fold"],
    ]
    return hashlib.sha256(canonical([*facts, cell["dataset"]["split"]]).encode()).hexdigest()


def ensure_phantom(cell: Mapping[str, Any]) -> Path:
    """The phantom's folder below runs, written whole or not at all in the release's own format."""
    drawn = phantom_fingerprint({**cell, "fold": None})
    layout = canonical(
        cell["dataset"]["views"][cell["task"]]["layout"]
    )  # one data set may be laid out in several ways
    name = f"{cell['dataset']['name']}-{cell['task']}-{hashlib.sha256((drawn + layout).encode()).hexdigest()[:12]}"
    folder = Path(cell["runs"]) / "phantoms" / name
    if not folder.is_dir():
        beside = folder.with_name(f".{name}.{secrets.token_hex(4)}")
        write_phantom(cell, beside)
        try:
            beside.replace(folder)
        except OSError:
            shutil.rmtree(beside)
            if not folder.is_dir():
                raise
            # another process was first: both wrote the same
    return folder


def write_phantom(cell: Mapping[str, Any], folder: Path) -> None:
    """Write the cell's phantom in its release's format into a new folder."""
    spec, dataset, view = spec_of(cell["dataset"]), cell["dataset"], cell["task"]
    if not dataset["views"][view]["classes"]:
        dataset = with_classes(dataset, view, phantom.scene_classes(spec, view))
    layout = layout_of({**cell, "dataset": dataset})
    task: Task = layout.written_as or view
    say(
        f"writing a phantom of {cell['dataset']['name']} ({cell['task']}, {sum(spec.counts.values())} images) "
        f"in its release's format"
    )
    try:
        folder.mkdir(parents=True)
        layout.write(
            folder, track(phantom.draw_samples(spec, task), "phantom", sum(spec.counts.values()))
        )
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            reason = error.strerror or error
            raise RunError(
                f"{folder}: can't be made ({reason}); check the folders above and free space"
            ) from error
        raise


def canonical(value: Any) -> str:
    """One text per value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
