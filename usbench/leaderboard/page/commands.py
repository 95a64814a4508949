"""The commands that make a row of the leaderboard, as one would type them.

They are composed from a result's configuration and the YAML of its model and dataset as they are
now. Where these differ in plain values, the command overrides them. A result that no short command
describes has none here: scripts/reproduce.py runs it again from the result alone.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from usbench.datasets.sizes import fit_size
from usbench.leaderboard.rows import Row
from usbench.leaderboard.settings import Node, flatten, node_at, read_settings
from usbench.results.result import Result

PLAIN = re.compile(r"[A-Za-z0-9_./-]+")  # what Hydra reads as a word without quotes
NOTES = ("unstated", "note")  # of a recipe: for people, not part of a run
DESCRIPTIVE = {  # of a dataset: not part of a run
    "name",
    "title",
    "licence",
    "citation",
    "access",
    "redistribute",
    "attribution",
    "unknown_groups",
    "released",
    "root",
}


@dataclass(frozen=True)
class RunCommand:
    """How to run the experiment of a result again."""

    overrides: tuple[str, ...] | None  # without seed and fold; None: no short command does it
    seed: int | None = None
    fold: int | None = None
    reproducible: bool = False  # scripts/reproduce.py takes it


@dataclass(frozen=True)
class Configs:
    """The YAML of models and datasets by name."""

    models: Mapping[str, Node]
    datasets: Mapping[str, Node]


def read_configs(conf: Path) -> Configs:
    """The YAML below a configuration folder; a file without a mapping is left out."""
    return Configs(read_group(conf / "model"), read_group(conf / "dataset"))


def read_group(folder: Path) -> dict[str, Node]:
    """The YAML files of a folder by their name."""
    nodes: dict[str, Node] = {}
    for path in sorted(folder.glob("*.yaml")):
        node = yaml.safe_load(path.read_text("utf-8"))
        if isinstance(node, dict):
            nodes[path.stem] = node
    return nodes


def find_commands(results: Iterable[Result], configs: Configs) -> dict[str, RunCommand]:
    """Run id → how to run it again, for results of our own runs."""
    commands = {}
    for result in results:
        if result.origin == "run":
            overrides = find_overrides(result, configs)
            reproducible = result.is_done and not result.trained_on
            command = RunCommand(overrides, result.seed, result.fold, reproducible)
            commands[result.run_id] = command
    return commands


def find_overrides(result: Result, configs: Configs) -> tuple[str, ...] | None:
    """The overrides that give a result's run, without seed and fold; None where none do."""
    settings = read_settings(result)
    trained_on = result.trained_on or result.dataset
    model = configs.models.get(result.model)
    dataset = configs.datasets.get(trained_on)
    if model is None or dataset is None or result.tuned or not settings.model:
        return None
    model_changes = model_overrides(settings.model, model, result.recipe or "", dataset.get("size"))
    data_changes = None if result.trained_on else dataset_overrides(settings.dataset, dataset)
    if model_changes is None or (data_changes is None and not result.trained_on):
        return None
    overrides = [f"dataset={trained_on}", "source=real", f"model={result.model}"]
    overrides.append(f"recipe={result.recipe}")
    if result.precision:
        overrides.append(f"precision={result.precision}")
    overrides += [*(data_changes or []), *model_changes]
    if result.trained_on:
        overrides.append(f"evaluate_on=[{result.dataset}]")
    return tuple(overrides)


def model_overrides(used: Node, model: Node, recipe: str, native: object) -> list[str] | None:
    """The overrides that turn a model's YAML into what was run; None where overrides can't.

    Args:
        used: the model part of the result's configuration.
        model: the model's YAML.
        recipe: name of the recipe.
        native: (height, width) of the dataset's images; None where it isn't stated.
    """
    recipes = node_at(model, "recipes")
    if recipe not in recipes or used.get("version") != model.get("version"):
        return None
    build = dict(node_at(model, "build"))
    steps = dict(node_at(recipes, recipe))
    used_recipe = node_at(used, "recipe")
    # As when a run is resolved: the recipe provides what the build leaves open.
    for key, value in build.items():
        if value is None and key in steps and key not in used_recipe:
            build[key] = steps.pop(key)
    size = steps.get("size")
    if isinstance(size, int) and isinstance(native, list):
        steps["size"] = fit_size(size, (native[0], native[1]))
    build_overrides = differences(node_at(used, "build"), build, "model.build")
    recipe_overrides = differences(
        without_notes(used_recipe), without_notes(steps), f"model.recipes.{recipe}"
    )
    if build_overrides is None or recipe_overrides is None:
        return None
    return build_overrides + recipe_overrides


def without_notes(recipe: Node) -> Node:
    """A recipe without what is for people."""
    return {key: value for key, value in recipe.items() if key not in NOTES}


def dataset_overrides(used: Node, dataset: Node) -> list[str] | None:
    """The overrides for plain values that were chosen otherwise, such as the annotator.

    None where a value can't be written on a command line.
    """
    overrides = []
    for name, value in sorted(dataset.items()):
        is_choice = isinstance(value, (str, int)) and name not in DESCRIPTIVE
        if is_choice and name in used and used[name] != value:
            text = format_value(used[name])
            if text is None:
                return None
            overrides.append(f"dataset.{name}={text}")
    return overrides


def differences(used: Node, stated: Node, name: str) -> list[str] | None:
    """The overrides for what differs.

    None where a stated value is missing, or a value can't be written on a command line.
    """
    used_values = dict(flatten(used, name))
    stated_values = dict(flatten(stated, name))
    if set(stated_values) - set(used_values):
        return None
    overrides = []
    for path, value in used_values.items():
        if path in stated_values and stated_values[path] == value:
            continue
        text = format_value(value)
        if text is None:
            return None
        overrides.append(f"{path}={text}" if path in stated_values else f"++{path}={text}")
    return overrides


def format_value(value: object) -> str | None:
    """A value as Hydra reads it on a command line; None for what belongs into a file."""
    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) else None
    if isinstance(value, Mapping):
        return None
    if isinstance(value, list):
        parts = [format_value(part) for part in value]
        texts = [part for part in parts if part is not None]
        return f"[{','.join(texts)}]" if len(texts) == len(parts) else None
    return json.dumps(value)


def row_command(row: Row, commands: Mapping[str, RunCommand]) -> str:
    """The command that makes a row; "" where no short one does."""
    if row.origin == "published":
        return published_command(row)
    if row.origin == "run":
        return series_command([commands[i] for i in row.run_ids if i in commands])
    return other_command(row.origin, row.dataset, row.task, row.model or row.name)


def result_command(result: Result, command: RunCommand | None) -> str:
    """The command that makes one result; "" where no short one does."""
    if result.origin == "run":
        return "" if command is None else series_command([command])
    return other_command(result.origin, result.dataset, result.task, result.model)


def other_command(origin: str, dataset: str, task: str, model: str) -> str:
    """The command that makes a result that isn't a run."""
    if origin == "baseline":
        arguments = ["scripts/sanity.py", f"dataset={dataset}", f"task={task}", "source=real"]
    elif origin == "human":
        arguments = ["scripts/interrater.py", f"dataset={dataset}"]
    else:
        arguments = ["scripts/score.py", task, "--dataset", dataset]
        arguments += ["--predictions", "PREDICTIONS", "--name", model]
    return shlex.join(["python", *arguments])


def published_command(row: Row) -> str:
    """What runs the model of a published row, as far as the paper says how."""
    if row.model is None:
        return ""
    overrides = [f"dataset={row.trained_on or row.dataset}", "source=real", f"model={row.model}"]
    if row.recipe:
        overrides.append(f"recipe={row.recipe}")
    if row.trained_on:
        overrides.append(f"evaluate_on=[{row.dataset}]")
    return shlex.join(["python", "-m", "usbench", *overrides])


def series_command(runs: list[RunCommand]) -> str:
    """All seeds and folds of a recipe in one command."""
    overrides = runs[0].overrides if runs else None
    if overrides is None or any(run.overrides != overrides for run in runs):
        return ""
    seeds = sorted({run.seed for run in runs if run.seed is not None})
    folds = sorted({run.fold for run in runs if run.fold is not None})
    several = ["-m"] if len(seeds) > 1 or len(folds) > 1 else []
    arguments = ["python", "-m", "usbench", *several, *overrides]
    if seeds:
        arguments.append(f"seed={','.join(map(str, seeds))}")
    if folds:
        arguments.append(f"fold={','.join(map(str, folds))}")
    return shlex.join(arguments)
