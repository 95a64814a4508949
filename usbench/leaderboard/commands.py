"""The commands that make a row of the leaderboard, as one would type them.

They are composed from a result's configuration, what its command asked for, and the YAML of its
model and dataset as they are now. Where the model's differs in plain values, the command overrides
them. A result that no short command describes has none here: usbench reproduce runs it again from
the result alone. Words stand for folders of the reader: DIR, PATH.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from usbench.io.overrides import to_override
from usbench.leaderboard.recipes import Configs, is_whole, stated_model, without_notes
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


ROOT, WEIGHTS = "dataset.root=DIR", "model.build.weights"
OTHER_KEYS = re.compile(r"(dataset|metric|trust)\b|model$")  # than a model's and its recipe's


class NoShortCommand(Exception):
    """A run that can't be described by overrides on a command line."""


@dataclass(frozen=True)
class RunCommand:
    """How to make a result again."""

    overrides: tuple[str, ...] | None  # without seed and fold; None: no short command does it
    seed: int | None = None
    fold: int | None = None
    reproducible: bool = False  # usbench reproduce takes it
    own_files: tuple[str, ...] = ()  # of a configuration that isn't usbench's: dataset/rings.yaml
    reproduce_options: tuple[str, ...] = ()  # that usbench reproduce needs

    @property
    def config_dir(self) -> tuple[str, ...]:
        """The option for a configuration of one's own, where one is needed."""
        return ("--config-dir", "DIR") if self.own_files else ()

    def notes(self) -> list[str]:
        """What the words in the command stand for."""
        notes = []
        if self.own_files:
            files = " and ".join(filter(None, [", ".join(self.own_files[:-1]), self.own_files[-1]]))
            notes.append(
                f"--config-dir DIR: the folder of configuration that holds {files}. Start in the "
                "folder of the Python modules that they name, if they name any."
            )
        overrides = self.overrides or ()
        if ROOT in overrides or self.reproduce_options[:1] == ("--root",):
            notes.append("The DIR of dataset.root or --root: the folder of this release.")
        if any(override.endswith("=PATH") for override in overrides):
            notes.append("PATH: a file or folder of the machine that the result is from.")
        return notes


def find_commands(
    results: Iterable[Result], configs: Configs, shipped: Configs
) -> dict[str, RunCommand]:
    """Run id → how to make its result again.

    Args:
        results: of runs and others.
        configs: the YAML at hand.
        shipped: those that come with usbench; all other names need --config-dir.
    """
    commands = {}
    for result in results:
        own_files = tuple(find_own_files(result, shipped))
        if result.origin != "run":
            commands[result.run_id] = RunCommand(None, own_files=own_files)
            continue
        try:
            overrides = tuple(find_overrides(result, configs))
        except NoShortCommand:
            overrides = None
        commands[result.run_id] = RunCommand(
            overrides,
            result.seed,
            result.fold,
            reproducible=result.is_done and not result.trained_on,
            own_files=own_files if overrides is not None else (),
            reproduce_options=tuple(find_reproduce_options(result)),
        )
    return commands


def asked_overrides(result: Result) -> list[str] | None:
    """The overrides that a result's command had (runner/overrides.py); None: not known."""
    overrides = result.config.get("overrides")
    return list(map(str, overrides)) if isinstance(overrides, (list, tuple)) else None


def chosen_files(result: Result) -> dict[str, str]:
    """Group of the configuration → the file that a result's command chose in it."""
    chosen = {"dataset": result.trained_on or result.dataset}
    if result.origin == "run":
        chosen["model"] = result.model
    for override in asked_overrides(result) or ():
        group, _, name = override.lstrip("+").partition("=")
        if group in ("dataset", "model", "metric"):
            chosen[group] = name
    return chosen


def find_own_files(result: Result, shipped: Configs) -> Iterator[str]:
    """The files of configuration that a result needs and usbench doesn't have."""
    chosen = chosen_files(result)
    if result.trained_on:
        yield from own_file("dataset", result.dataset, shipped)
    for group, name in chosen.items():
        yield from own_file(group, name, shipped)


def own_file(group: str, name: str, shipped: Configs) -> Iterator[str]:
    """A file of configuration, if usbench doesn't have it."""
    if name not in shipped[group]:
        yield f"{group}/{name}.yaml"


def find_reproduce_options(result: Result) -> Iterator[str]:
    """The options that usbench reproduce needs for a result, besides the releases' folder."""
    if ROOT in (asked_overrides(result) or ()):
        yield from ("--root", "DIR")
    weights = node_at(result.config, "weights")
    # A word such as imagenet needs no file: it is its own hash.
    if weights and weights.get("sha256") != node_at(result.config, "model", "build").get("weights"):
        yield from ("--weights", "FILE")


def find_overrides(result: Result, configs: Configs) -> Iterator[str]:
    """The overrides that give a result's run, without seed and fold.

    Raises:
        NoShortCommand: no overrides do.
    """
    settings, asked, chosen = read_settings(result), asked_overrides(result), chosen_files(result)
    dataset = configs["dataset"].get(chosen["dataset"])
    if result.tuned or not settings.model or (dataset is None and asked is None):
        raise NoShortCommand
    yield from (f"dataset={chosen['dataset']}", "source=real", f"model={chosen['model']}")
    yield f"recipe={result.recipe}"
    if result.precision:
        yield f"precision={result.precision}"
    if asked is not None:
        yield from (override for override in asked if key_of(override).startswith("dataset."))
    elif dataset is not None and not result.trained_on:
        yield from dataset_overrides(settings.dataset, dataset)
    yield from find_model_overrides(result, configs, dataset or {})
    for override in asked or ():
        if re.match(r"(metric|trust)\b", key_of(override)):
            yield override
    if result.trained_on:
        yield f"evaluate_on=[{result.dataset}]"


def find_model_overrides(result: Result, configs: Configs, dataset: Node) -> list[str]:
    """What a result's model and recipe differ in from its YAML; else what its command asked for.

    Raises:
        NoShortCommand: neither is known, or the YAML is of another version.
    """
    used, asked = read_settings(result).model, asked_overrides(result)
    model = configs["model"].get(chosen_files(result)["model"])
    recipe = result.recipe or ""
    if model is not None and (asked is None or is_whole(model)):
        native = dataset.get("size")
        if asked is not None and not result.trained_on:
            native = read_settings(result).dataset.get("size", native)
        try:
            differing = list(model_overrides(used, model, recipe, native))
            if asked is None:
                return differing
            # A file's folder isn't in a result, so what was asked for says more of it.
            return [
                *(override for override in differing if key_of(override) != WEIGHTS),
                *(override for override in asked if key_of(override) == WEIGHTS),
            ]
        except NoShortCommand:
            if used.get("version") != model.get("version"):
                raise
    if asked is None:
        raise NoShortCommand
    return [override for override in asked if not OTHER_KEYS.match(key_of(override))]


def key_of(override: str) -> str:
    """The key of KEY=VALUE, without what Hydra lets stand before it."""
    return override.partition("=")[0].lstrip("+~")


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
    known = [commands[run_id] for run_id in row.run_ids if run_id in commands]
    config_dir = known[0].config_dir if known else ()
    return other_command(row.origin, row.dataset, row.task, row.model or row.name, config_dir)


def command_notes(run_ids: Sequence[str], commands: Mapping[str, RunCommand]) -> list[str]:
    """What the words in the commands of a row's results stand for."""
    notes = [note for run_id in run_ids if run_id in commands for note in commands[run_id].notes()]
    return list(dict.fromkeys(notes))


def reproduce_command(run_id: str, command: RunCommand, data: Sequence[str] = ()) -> str:
    """The command that does a run again from its result alone. data: where releases lie."""
    options = command.reproduce_options
    places = data if "--root" not in options else ()
    return shlex.join(["usbench", "reproduce", run_id, *places, *options])


def result_command(result: Result, command: RunCommand | None) -> str:
    """The command that makes one result; "" where no short one does."""
    if result.origin == "run":
        return series_command([command] if command else [])
    config_dir = command.config_dir if command else ()
    return other_command(result.origin, result.dataset, result.task, result.model, config_dir)


def other_command(
    origin: str, dataset: str, task: str, model: str, config_dir: Sequence[str] = ()
) -> str:
    """The command that makes a result that isn't a run. config_dir: the option, if it needs one."""
    if origin == "baseline":
        arguments = ["sanity", f"dataset={dataset}", f"task={task}", "source=real"]
    elif origin == "human":
        arguments = ["interrater", f"dataset={dataset}"]
    else:
        arguments = ["score", "--task", task, "--dataset", dataset]
        arguments += ["--predictions", "PREDICTIONS", "--name", model]
    return shlex.join(["usbench", *arguments, *config_dir])


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
    options = [*runs[0].config_dir, *(["-m"] if is_sweep else [])]
    return shlex.join(["python", "-m", "usbench", *options, *arguments])
