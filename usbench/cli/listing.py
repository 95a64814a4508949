"""`list=true`: what can be combined, and which data is here."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from usbench.errors import ConfigError, in_one_line
from usbench.io.console import say, table
from usbench.io.files import JsonObject


def read_group(folder: Path) -> list[JsonObject]:
    """All YAML files of a configuration group, by name; each gets its file's name as `file`."""
    nodes = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            node = yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            raise ConfigError(f"{path}: expected YAML: {in_one_line(error)}") from error
        if isinstance(node, dict):
            nodes.append({"file": path.stem, **node})
    return nodes


def describe_images(dataset: JsonObject, data: str | None) -> str:
    """Where a dataset's images come from: here | not here (phantom) | drawn on demand."""
    if not dataset["released"]:
        return "drawn on demand"
    folder = Path(data or os.environ.get("USBENCH_DATA") or "data") / dataset["name"]
    return "here" if folder.is_dir() else "not here (phantom)"


def show_choices(conf: Path, data: str | None) -> None:
    """Print tables of datasets, models and metrics.

    Args:
        conf: the folder of configuration.
        data: the folder of releases; None: USBENCH_DATA, else ./data.
    """
    datasets, models, metrics = (
        read_group(conf / group) for group in ("dataset", "model", "metric")
    )
    rows = [
        [node["name"], ", ".join(node["views"]), describe_images(node, data), node["licence"]]
        for node in datasets
    ]
    table("datasets", ["dataset=", "tasks", "images", "licence"], rows)
    rows = []
    for node in models:
        names = (dataset["name"] for dataset in datasets if node["task"] in dataset["views"])
        rows.append([node["name"], node["task"], ", ".join(node["recipes"]), ", ".join(names)])
    table("models", ["model=", "task", "recipes", "datasets"], rows)
    rows = [
        [node["file"], node["task"], node["primary"], ", ".join(node["protocols"])]
        for node in metrics
    ]
    table("metrics", ["metric=", "task", "ranked by", "protocols"], rows)
    say("one run: python -m usbench dataset=… model=…")
