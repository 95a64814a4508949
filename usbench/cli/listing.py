"""Where the configuration lies, and `list=true`: what can be combined, and which data is here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from usbench.errors import ConfigError
from usbench.io.console import say, table


def conf_dir() -> Path:
    """The configuration shipped in the wheel, or the checkout's beside the package."""
    package = Path(__file__).resolve().parents[1]
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


def load(folder: Path) -> list[dict[str, Any]]:
    """All YAML files of a configuration group, by name."""
    nodes = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            node = yaml.safe_load(path.read_text())
        except yaml.YAMLError as wrong:
            raise ConfigError(f"{path}: YAML was wanted: {' '.join(str(wrong).split())}") from wrong
        if isinstance(node, dict):
            nodes.append({"file": path.stem, **node})
    return nodes


def where(node: dict[str, Any], config: dict[str, Any]) -> str:
    """here | not here | drawn on demand."""
    if not node["released"]:
        return "drawn on demand"
    data = Path(config["data"] or os.environ.get("USBENCH_DATA") or "data")
    return "here" if (data / node["name"]).is_dir() else "not here (phantom)"


def show(conf: Path, config: dict[str, Any]) -> None:
    """Three tables on stdout."""
    datasets, models, metrics = (load(conf / group) for group in ("dataset", "model", "metric"))
    rows = ([n["name"], ", ".join(n["views"]), where(n, config), n["licence"]] for n in datasets)
    table("datasets", ["dataset=", "tasks", "images", "licence"], rows)
    fits = [[n["name"], n["task"], ", ".join(n["recipes"]), able(n, datasets)] for n in models]
    table("models", ["model=", "task", "recipes", "datasets"], fits)
    table(
        "metrics",
        ["metric=", "task", "ruled by", "protocols"],
        ([n["file"], n["task"], n["primary"], ", ".join(n["protocols"])] for n in metrics),
    )
    say("one run: python -m usbench dataset=… model=…")


def able(model: dict[str, Any], datasets: list[dict[str, Any]]) -> str:
    """The datasets with the model's task."""
    return ", ".join(node["name"] for node in datasets if model["task"] in node["views"])
