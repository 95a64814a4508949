"""The commands that make a row of the leaderboard, as one would type them.

They are composed from a result's configuration and the YAML of its model and dataset as they are
now. Where these differ in plain values, the command overrides them. A result that no short command
describes has none here: usbench reproduce runs it again from the result alone.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter

from usbench.io.overrides import to_override
from usbench.leaderboard.recipes import Configs, stated_model, without_notes
from usbench.leaderboard.rows import Row
from usbench.leaderboard.settings import Node, flatten, names_class, node_at, read_settings
from usbench.results.result import Result

PLAIN = re.compile(r"[A-Za-z0-9_./-]+")  # what Hydra reads as a word without quotes
SECTIONS = ("loss", "augment")  # of a recipe, which a class of the user's may replace
DESCRIPTIVE = {  # of a dataset: not part of a run
    "name",
    "title",
    "licence",
    "citation",
    "bibtex",
    "access",
    "redistribute",
    "attribution",
    "unknown_groups",
    "released",
    "root",
}


class NoShortCommand(Exception):
    """A run that can't be described by overrides on a command line."""


@dataclass(frozen=True)
class RunCommand:
    """How to run the experiment of a result again."""

    overrides: tuple[str, ...] | None  # without seed and fold; None: no short command does it
    seed: int | None = None
    fold: int | None = None
    reproducible: bool = False  # usbench reproduce takes it


def find_commands(results: Iterable[Result], configs: Configs) -> dict[str, RunCommand]:
    """Run id → how to run it again, for results of our own runs."""
    commands = {}
    for result in results:
        if result.origin == "run":
            try:
                overrides = tuple(find_overrides(result, configs))
            except NoShortCommand:
                overrides = None
            commands[result.run_id] = RunCommand(
                overrides,
                result.seed,
                result.fold,
                reproducible=result.is_done and not result.trained_on,
            )
    return commands


def find_overrides(result: Result, configs: Configs) -> Iterator[str]:
    """The overrides that give a result's run, without seed and fold.

    Raises:
        NoShortCommand: no overrides do.
    """
    settings = read_settings(result)
    trained_on = result.trained_on or result.dataset
    model = configs["model"].get(result.model)
    dataset = configs["dataset"].get(trained_on)
    if model is None or dataset is None or result.tuned or not settings.model:
        raise NoShortCommand
    yield from (f"dataset={trained_on}", "source=real", f"model={result.model}")
    yield f"recipe={result.recipe}"
    if result.precision:
        yield f"precision={result.precision}"
    if not result.trained_on:
        yield from dataset_overrides(settings.dataset, dataset)
    yield from model_overrides(settings.model, model, result.recipe or "", dataset.get("size"))
    if result.trained_on:
        yield f"evaluate_on=[{result.dataset}]"


def model_overrides(used: Node, model: Node, recipe: str, native: object) -> Iterator[str]:
    """The overrides that turn a model's YAML into what was run.

    Args:
        used: the model part of the result's configuration.
        model: the model's YAML.
        recipe: name of the recipe.
        native: (height, width) of the dataset's images; None where it isn't stated.

    Raises:
        NoShortCommand: overrides can't.
    """
    if recipe not in node_at(model, "recipes") or used.get("version") != model.get("version"):
        raise NoShortCommand
    build, steps = map(dict, stated_model(used, model, recipe, native))
    yield from differences(node_at(used, "build"), build, "model.build")
    used_recipe = dict(without_notes(node_at(used, "recipe")))
    for key in SECTIONS:
        section = used_recipe.get(key)
        if names_class(section) and section != steps.get(key):
            yield to_override(key, section)
            del used_recipe[key]
            steps.pop(key, None)
    yield from differences(used_recipe, steps, f"model.recipes.{recipe}")


def dataset_overrides(used: Node, dataset: Node) -> Iterator[str]:
    """The overrides for plain values that were chosen otherwise, such as the annotator."""
    for name, value in sorted(dataset.items()):
        is_choice = isinstance(value, (str, int)) and name not in DESCRIPTIVE
        if is_choice and name in used and used[name] != value:
            yield f"dataset.{name}={format_value(used[name])}"


def differences(used: Node, stated: Node, name: str) -> Iterator[str]:
    """The overrides for what differs; NoShortCommand where a stated value is missing."""
    used_values = dict(flatten(used, name))
    stated_values = dict(flatten(stated, name))
    if stated_values.keys() - used_values.keys():
        raise NoShortCommand
    for path, value in used_values.items():
        if path not in stated_values:
            yield f"++{path}={format_value(value)}"
        elif stated_values[path] != value:
            yield f"{path}={format_value(value)}"


def format_value(value: object) -> str:
    """A value as Hydra reads it on a command line; NoShortCommand for what belongs into a file."""
    if isinstance(value, list):
        return f"[{','.join(map(format_value, value))}]"
    if isinstance(value, str) and PLAIN.fullmatch(value):
        return value
    if isinstance(value, (str, Mapping)):
        raise NoShortCommand
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
        return series_command([command] if command else [])
    return other_command(result.origin, result.dataset, result.task, result.model)


def other_command(origin: str, dataset: str, task: str, model: str) -> str:
    """The command that makes a result that isn't a run."""
    if origin == "baseline":
        arguments = ["sanity", f"dataset={dataset}", f"task={task}", "source=real"]
    elif origin == "human":
        arguments = ["interrater", f"dataset={dataset}"]
    else:
        arguments = ["score", "--task", task, "--dataset", dataset]
        arguments += ["--predictions", "PREDICTIONS", "--name", model]
    return shlex.join(["usbench", *arguments])


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
    arguments = list(overrides)
    is_sweep = False
    for name in ("seed", "fold"):
        values = set(map(attrgetter(name), runs)) - {None}
        is_sweep = is_sweep or len(values) > 1
        if values:
            arguments.append(f"{name}={','.join(map(str, sorted(values)))}")
    return shlex.join(["python", "-m", "usbench", *(["-m"] if is_sweep else []), *arguments])
