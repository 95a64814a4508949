"""From a composed configuration to a cell: one run with everything resolved, nothing left to chance, and its key.

A cell is plain data (it is written as YAML and read by the child process): where the data lies, which recipe, device,
precision and threads, what the data's fingerprint is. No torch, no pixels.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from usbench.datasets import source
from usbench.datasets.dataset import Dataset, file_fingerprint
from usbench.errors import ConfigError, UnsuitableError
from usbench.models import CACHE_VERSION, weights
from usbench.runner import machine
from usbench.runner.identity import NOT_DECISIVE, identify, short_hash
from usbench.types import TASKS, Task

Cell = dict[str, Any]

SELECTION = {  # the selection rule and its version, by task; a higher figure is better
    "segment": ("dice", 1),
    "detect": ("map50_95", 1),
    "landmark": ("minus_mre_px", 1),
}
SIDE = 32  # a net's height and width are multiples of it


def resolve(config: Mapping[str, Any], training: bool = True, device: str | None = None) -> Cell:
    """The cell of a composed configuration. Writes the phantom where one is used. training: whether it needs images to
    train on; device: that of another machine, where the cell will be run.

    Raises ConfigError for a combination that can't be, DataError for a release that isn't whole.
    """
    dataset, model = config["dataset"], config["model"]
    task = check_task(config)
    check_switches(config)
    if training and dataset["split"].get("test_only"):
        name = dataset["name"]
        raise UnsuitableError(
            f"dataset={name}: it has test images only; train on another one with evaluate_on=[{name}], or evaluate a "
            f"result: scripts/evaluate.py RESULT dataset={name}"
        )
    found, root = source.locate(config)
    drawn = not found or (root / source.MARK).is_file()
    if device and config["precision"] == "auto":
        raise ConfigError(
            "precision=auto: it goes by what the device can, and that of the cluster can't be seen from here; say "
            "precision=bf16 (compute capability 8.0 or newer) or precision=fp32"
        )
    device = device or machine.resolve_device(config["device"])
    recipe_name, build_node, recipe = resolve_model(config, task, not drawn)
    cell: Cell = {
        "dataset": source.without_release(dataset) if drawn else dataset,
        "task": task,
        "fold": fold_of(config),
        "model": {
            "name": model["name"],
            "version": model["version"],
            "build": build_node,
            "recipe": recipe,
        },
        "recipe": recipe_name,
        "weights": pretrained(config["model"]["build"].get("weights"), build_node.get("weights")),
        "metric": metric_node(config["metric"], dataset["views"][task], task),
        "seed": number(config, "seed"),
        "device": device,
        "precision": precision_of(config, device),
        "threads": number(config, "threads") if config["threads"] is not None else machine.cores(),
        "phantom": drawn,
        "root": str(root),
        "runs": str(Path(str(config["runs"])).absolute()),
        "results": str(Path(str(config["results"])).absolute()),
        "tracking": config["tracking"],
        "debug": bool(config["debug"]),
    }
    if isinstance(config.get("tuned"), Mapping):
        cell["tuned"] = config["tuned"]
    if not found:
        cell["root"] = str(source.ensure_phantom(cell))
    dataset_found = source.open_dataset(cell)
    cell["dataset"] = source.with_classes(cell["dataset"], task, dataset_found.classes)
    cell["fingerprint"] = fingerprint(cell, dataset_found, found)
    cell["series"], cell["run_id"] = run_ids(cell)
    return cell


def number(config: Mapping[str, Any], key: str) -> int:
    """A whole number of 0 or more; ConfigError for anything else."""
    value = config[key]
    if (
        not isinstance(value, int)
        or isinstance(value, bool)
        or value < (1 if key == "threads" else 0)
    ):
        raise ConfigError(f"{key}={value}: a whole number was wanted")
    return value


def fold_of(config: Mapping[str, Any]) -> int | None:
    """The fold's number, None for the fixed split; ConfigError where the dataset has no such fold."""
    fold, folds = config["fold"], config["dataset"]["split"].get("folds")
    if fold is None:
        return None
    if not folds:
        name = config["dataset"]["name"]
        raise UnsuitableError(f"fold={fold}: {name} has a fixed split and no folds; leave fold out")
    if number(config, "fold") >= folds:
        raise UnsuitableError(f"fold={fold}: one of 0..{folds - 1} was wanted")
    return int(fold)


def check_switches(config: Mapping[str, Any]) -> None:
    """ConfigError for a switch that is neither true nor false (trust=no is a word, and a word counts as true)."""
    for key in ("overwrite", "trust", "debug"):
        if not isinstance(config[key], bool):
            raise ConfigError(f"{key}={config[key]}: true or false was wanted")
    if config["tracking"] not in ("mlflow", "none"):
        raise ConfigError(f"tracking={config['tracking']}: mlflow or none was wanted")


def check_task(config: Mapping[str, Any]) -> Task:
    """The model's task; ConfigError where the dataset or the metric doesn't have it."""
    dataset, model, metric = config["dataset"], config["model"], config["metric"]
    task: Task = model["task"]
    if task not in TASKS:
        raise ConfigError(f"model.task: one of {', '.join(TASKS)} was wanted, found {task!r}")
    if task not in dataset["views"]:
        raise UnsuitableError(
            f"dataset={dataset['name']} model={model['name']}: the model does {task}, "
            f"the dataset has {', '.join(dataset['views'])}; see list=true"
        )
    if metric["task"] != task:
        raise ConfigError(f"metric={metric['task']}: the model does {task}; take metric={task}")
    return task


def precision_of(config: Mapping[str, Any], device: str) -> str:
    """fp32 or bf16; auto takes bf16 where device and adapter both can. ConfigError where bf16 was asked for and
    can't be."""
    wanted, model = config["precision"], config["model"]
    precision = machine.resolve_precision(wanted, device)
    if precision == "fp32" or device.split(":")[0] in model["bf16"]:
        return precision
    if wanted == "bf16":
        raise UnsuitableError(
            f"precision=bf16: {model['name']} can train so on {', '.join(model['bf16'])}; take precision=auto"
        )
    return "fp32"


def metric_node(metric: Mapping[str, Any], view: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """The metric with the protocols that the dataset's own paper adds, the lengths between landmarks that it names, and its
    tolerances of a surface Dice where the user has chosen none.
    """
    protocols = [
        *metric["protocols"],
        *(rule for rule in view.get("protocols", ()) if rule not in metric["protocols"]),
    ]
    tolerance = view.get("tolerance") or {}
    lengths = (
        {"lengths": {**view["lengths"], **(metric.get("lengths") or {})}}
        if view.get("lengths")
        else {}
    )
    given = {name: value for name, value in metric.items() if name != "task"}
    told = {
        f"tolerance_{unit}": value
        for unit, value in tolerance.items()
        if given.get(f"tolerance_{unit}") is None
    }
    return {**given, **lengths, **told, "protocols": protocols}


# ---- the model, its recipe and its weights


def resolve_model(
    config: Mapping[str, Any], task: Task, real: bool
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """(recipe's name, build node, recipe): what the build leaves null and the recipe has is taken from the recipe."""
    dataset, model = config["dataset"], config["model"]
    name = config["recipe"]
    if name == "auto":
        name = dataset.get("recipes", {}).get(model["name"], "standard") if real else "quick"
    if name not in model["recipes"]:
        raise UnsuitableError(f"recipe={name}: {model['name']} has {', '.join(model['recipes'])}")
    node, recipe = dict(model["build"]), dict(model["recipes"][name])
    for key in [key for key, value in node.items() if value is None and key in recipe]:
        node[key] = recipe.pop(key)
    if isinstance(recipe.get("size"), int):
        recipe["size"] = shape(recipe["size"], dataset["size"])
    stated = node.get("weights")
    if stated and model["pickled"] and not config["trust"]:
        raise ConfigError(
            f"model.build.weights={stated}: {model['name']}'s weights are a pickle, which can run any code "
            f"when it is read; "
            "if you trust where it comes from, say trust=true"
        )
    if "weights" in node:
        node["weights"] = weights.fetch(stated, Path(str(config["runs"])) / "cache" / "weights")
    return name, node, recipe


def pretrained(stated: Any, given: str | None) -> dict[str, Any] | None:
    """What a record says of the starting weights: where they came from and their sha256; None from scratch."""
    return (
        {"from": weights.describe_origin(stated), "sha256": weights.weights_sha256(given)}
        if given
        else None
    )


def shape(side: int, native: tuple[int, int]) -> list[int]:
    """A net's [height, width]: about side² pixels, the aspect ratio of the native (height, width), multiples of 32."""
    ratio = math.sqrt(native[0] / native[1])
    return [max(SIDE, round(length / SIDE) * SIDE) for length in (side * ratio, side / ratio)]


# ---- identity


def fingerprint(cell: Mapping[str, Any], dataset: Dataset, found: bool) -> str:
    """The data's fingerprint. found: the files were there; else they were drawn below runs, and the generator's
    parameters say it all."""
    if not found:
        return source.phantom_fingerprint(cell)
    return file_fingerprint(dataset, Path(cell["runs"]) / "cache" / "hashes.json")


def run_ids(cell: Mapping[str, Any]) -> tuple[str, str]:
    """(series, run id): hashes of what decides the predictions, without and with seed and precision."""
    model, view = cell["model"], cell["dataset"]["views"][cell["task"]]
    build = dict(model["build"])
    weights_sha256 = weights.weights_sha256(build.pop("weights", None))
    recipe = {key: value for key, value in model["recipe"].items() if key not in NOT_DECISIVE}
    facts = {
        "dataset": cell["dataset"]["name"],
        "task": cell["task"],
        "fold": cell["fold"],
        "classes": list(view["classes"]),
        "exclusive": bool(view.get("exclusive", False)),
        "layout": identify(view["layout"]),
        "data": cell["fingerprint"],
        "model": {"name": model["name"], "build": identify(build), "recipe": identify(recipe)},
        "weights": weights_sha256,
        "versions": {"adapter": model["version"], "cache": CACHE_VERSION},
        "selection": SELECTION[cell["task"]],
    }
    if "tuned" in cell:
        facts["tuned"] = cell["tuned"]
    return short_hash(facts), short_hash(
        {**facts, "precision": cell["precision"], "seed": cell["seed"]}
    )


def run_dir(cell: Mapping[str, Any]) -> Path:
    """Where the run keeps everything it makes."""
    return Path(cell["runs"]) / str(cell["run_id"])


def write(cell: Mapping[str, Any], path: Path) -> None:
    """The cell as YAML, beside, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    beside.write_text(yaml.safe_dump(dict(cell), sort_keys=False, allow_unicode=True))
    beside.replace(path)


def read(path: Path) -> Cell:
    """A cell written by `write`; ConfigError where it isn't one."""
    try:
        cell = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as wrong:
        reason = " ".join(str(wrong).split())
        raise ConfigError(f"{path}: a cell written by usbench was wanted: {reason}") from wrong
    if not isinstance(cell, dict) or "run_id" not in cell:
        raise ConfigError(f"{path}: a cell written by usbench was wanted, found something else")
    return cell
