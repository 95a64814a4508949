"""List what can be combined: datasets and models by task, metrics, and which data is here.

    usbench list [--data DIR] [--config-dir DIR] [--json FILE]

A model runs on every dataset that has its task.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from usbench.cli.options import Options, add_config_dir, make_parser, run_verb, write_json
from usbench.io.console import say, table
from usbench.io.files import JsonObject
from usbench.io.yaml_file import read_yaml

CLAUSE_END = re.compile(r"\s*[;:,(]")  # of a licence: the table has no room for more


def read_group(folders: Sequence[Path], group: str) -> list[JsonObject]:
    """All YAML files of a configuration group, by name; each gets its file's name as `file`."""
    nodes = []
    for path in sorted(path for folder in folders for path in (folder / group).glob("*.yaml")):
        node = read_yaml(path)
        if isinstance(node, dict):
            nodes.append({"file": path.stem, **node})
    return nodes


def stated(node: JsonObject, *keys: str) -> list[str]:
    """A YAML's values as text; "?" for one that it leaves to the file that it builds on."""
    texts = []
    for key in keys:
        value = node.get(key)
        entries = value if isinstance(value, (list, dict)) else [value]
        texts.append("?" if value is None else ", ".join(map(str, entries)))
    return texts


def by_task(row: Sequence[str]) -> tuple[str, str]:
    """The order of datasets and models: by task, then by name."""
    return row[1], row[0]


def describe_images(dataset: JsonObject, data: Path | None) -> str:
    """Where a dataset's images come from: here, not here (perhaps a phantom), drawn on demand."""
    if not dataset.get("released", True):
        return "drawn on demand"
    name = str(dataset.get("name", dataset["file"]))
    folder = Path(data or os.environ.get("USBENCH_DATA") or "data") / name
    if folder.is_dir():
        return "here"
    # A YAML that builds on another one has that one's phantom, unless it says null.
    has_phantom = dataset.get("phantom", "defaults" in dataset)
    return "not here (phantom)" if has_phantom else "not here"


def show(options: Options) -> None:
    """Show and write the tables."""
    from usbench.io.config import check_config_dir, conf_dir  # Hydra is slow to import

    check_config_dir(options.config_dir)
    folders = [conf_dir(), *filter(None, [options.config_dir])]
    datasets, models, metrics = (
        read_group(folders, group) for group in ("dataset", "model", "metric")
    )
    rows = []
    for node in datasets:
        images = describe_images(node, options.data)
        name, views, licence = stated(node, "name", "views", "licence")
        rows.append([name, views, images, CLAUSE_END.split(licence)[0]])
    table("datasets", ["dataset=", "tasks", "images", "licence"], sorted(rows, key=by_task))
    say("")
    rows = sorted((stated(node, "name", "task", "recipes") for node in models), key=by_task)
    table("models", ["model=", "task", "recipes"], rows)
    say("")
    rows = [stated(node, "file", "primary", "protocols") for node in metrics]
    table("metrics", ["metric=", "ranked by", "protocols"], rows)
    say("")
    say("one run: usbench dataset=… model=…")
    say(f"your own dataset, model or metric: {conf_dir() / 'README.md'}")
    write_json(options.json, {"datasets": datasets, "models": models, "metrics": metrics})


def main(argv: list[str] | None = None) -> int:
    """The command; exit code 2 for a configuration that can't be read."""
    parser = make_parser(__doc__, "write the YAMLs' content as JSON", "list")
    data_help = "releases; default: USBENCH_DATA, else data"
    parser.add_argument("--data", type=Path, metavar="DIR", help=data_help)
    add_config_dir(parser)
    return run_verb(show, parser.parse_args(argv))
