"""List the keys that count, each with its value or default and its meaning.

    usbench keys                              the keys of a run
    usbench keys dataset=usgra                also those of a dataset
    usbench keys model=unet recipe=standard   also those of a model, a recipe and the metric

Any key can be set on the command line, KEY=VALUE. epochs, lr, batch, size, loss and augment set a
value of the chosen recipe: epochs=30 is model.recipes.quick.epochs=30 where recipe=quick. A value in brackets is the default of a key that
no YAML spells out: set it as +KEY=VALUE.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from usbench.cli.options import Options, add_overrides, make_parser, run_verb, write_json
from usbench.datasets import source
from usbench.datasets.config import (
    NOT_OURS,
    DatasetConfig,
    SplitConfig,
    ViewConfig,
    field_default,
)
from usbench.io.comments import read_comments, read_field_comments, read_file_comments
from usbench.io.config import Composed, compose_alone, conf_dir
from usbench.io.console import say, table
from usbench.models.recipe_keys import (
    FOR_PEOPLE,
    Keys,
    Section,
    infer_keys,
    names_class,
    show,
)
from usbench.runner.groups import complete_groups
from usbench.runner.recipes import apply_short_keys, load_recipe_keys
from usbench.runner.resolve import choose_recipe

WIDEST = 24  # letters of a value that are shown


@dataclass(frozen=True)
class KeyRow:
    """One key, as it is shown and written."""

    key: str
    value: object  # what the configuration says, else the default
    meaning: str
    stated: bool = True  # False: no YAML spells it out
    expected: str = ""  # which values it may have, where that is declared


def run_rows(composed: Composed, choices: Mapping[str, str]) -> Iterator[KeyRow]:
    """The keys of conf/config.yaml."""
    for key, meaning in read_comments((conf_dir() / "config.yaml").read_text("utf-8")).items():
        name = key.removeprefix("defaults.")
        if name in choices:
            value = None if choices[name] == "null" else choices[name]
            yield KeyRow(name, value, meaning)
            if name == "model":
                yield KeyRow("metric", composed["model"]["task"], "a file of metric/")
        elif not key.startswith(("defaults", "hydra")):
            value = composed["dataset"].get("root") if name == "dataset.root" else composed[name]
            yield KeyRow(name, value, meaning)


def field_rows(cls: type, node: Mapping[str, object], prefix: str) -> Iterator[KeyRow]:
    """The keys that a dataclass of a dataset's YAML has."""
    comments = read_field_comments(cls)
    for item in fields(cls):
        if item.name != "options":
            stated = node.get(item.name) is not None
            value = node[item.name] if stated else field_default(item)
            meaning = comments.get(item.name, "")
            yield KeyRow(f"{prefix}.{item.name}", value, meaning, stated or item.name in node)


def dataset_rows(node: Composed, comments: Mapping[str, str], task: str) -> Iterator[KeyRow]:
    """The keys of a dataset, of its split, and of its view of a task, else of all views."""
    shown = ("dataset.root", "dataset.views", "dataset.split", "dataset.leakage")
    for row in field_rows(DatasetConfig, node, "dataset"):
        if row.key not in shown:
            yield row
    yield from field_rows(SplitConfig, node["split"], "dataset.split")
    views = node["views"]
    for name in [task] if task in views else views:
        yield from field_rows(ViewConfig, views[name], f"dataset.views.{name}")
    known = {item.name for item in fields(DatasetConfig)}
    for key in node.keys() - known - {*NOT_OURS}:
        yield KeyRow(f"dataset.{key}", node[key], comments.get(key, ""))


def model_rows(model: Composed, comments: Mapping[str, str], recipe: str) -> Iterator[KeyRow]:
    """The keys of a model: of its class, and of a recipe."""
    for key in ("name", "task", "version", "pickled", "bf16", "needs_weights"):
        yield KeyRow(f"model.{key}", model[key], comments.get(key, ""))
    for key, value in model["build"].items():
        yield KeyRow(f"model.build.{key}", value, comments.get(f"build.{key}", ""))
    keys = load_recipe_keys(model) or infer_keys(list(model["recipes"].values()))
    values = model["recipes"][recipe]
    yield from recipe_rows({**keys, **FOR_PEOPLE}, values, f"model.recipes.{recipe}")


def recipe_rows(keys: Keys, values: Mapping[str, object], prefix: str) -> Iterator[KeyRow]:
    """The keys of a recipe, or of a section in it."""
    for name, key in keys.items():
        stated = name in values
        value = values[name] if stated else key.default if key.has_default else None
        has_rows = isinstance(key.kind, Section) and key.kind.keys and not names_class(value)
        if isinstance(key.kind, Section) and has_rows and (value or not stated):
            inner = value if isinstance(value, Mapping) else {}
            yield from recipe_rows(key.kind.keys, inner, f"{prefix}.{name}")
        else:
            yield KeyRow(f"{prefix}.{name}", value, key.meaning, stated, str(key))


def metric_rows(node: Composed, comments: Mapping[str, str]) -> Iterator[KeyRow]:
    """The keys of a metric."""
    for key, value in node.items():
        yield KeyRow(f"metric.{key}", value, comments.get(key, ""))


def show_rows(title: str, rows: Sequence[KeyRow], prefix: str = "") -> None:
    """A table of keys, whose shared beginning stands in its title."""
    lines = []
    for row in rows:
        value = show(row.value)
        value = value if len(value) <= WIDEST else f"{value[: WIDEST - 1]}…"
        expected = f" ({row.expected})" if row.expected else ""
        lines.append(
            [
                row.key.removeprefix(prefix),
                value if row.stated else f"({value})",
                f"{row.meaning}{expected}".strip(),
            ]
        )
    table(title, ["key", "value", "meaning"], lines)
    say("")


def list_keys(options: Options) -> None:
    """Show and write the keys."""
    composed = complete_groups(compose_alone(options.overrides, options.config_dir))
    folders = [*filter(None, [options.config_dir]), conf_dir()]
    given = dict(text.split("=", 1) for text in options.overrides if "=" in text)
    choices = {"dataset": "phantom", "model": "unet", "sweep": "null"}
    choices |= {key: value for key, value in given.items() if key in choices}
    rows = list(run_rows(composed, choices))
    show_rows("keys of a run", rows)
    if not {"dataset", "model"} & given.keys():
        say("more: usbench keys dataset=… model=…")
    task = composed["model"]["task"] if "model" in given else ""
    if "dataset" in given:
        comments = read_file_comments(folders, "dataset", choices["dataset"])
        added = list(dataset_rows(composed["dataset"], comments, task))
        show_rows(f"dataset={choices['dataset']}: keys dataset.…", added, "dataset.")
        rows += added
    if "model" in given:
        rows += show_model(composed, folders, choices["model"], given.get("metric"))
    write_json(options.json, {"keys": [asdict(row) for row in rows]})


def show_model(
    composed: Composed, folders: Sequence[Path], name: str, metric: str | None
) -> list[KeyRow]:
    """Show the keys of a model, of its recipe and of its metric; the rows."""
    dataset = DatasetConfig.from_mapping(composed["dataset"])
    real = not dataset.phantom or source.locate(dataset, composed["data"], composed["source"])[0]
    recipe = choose_recipe(composed, dataset, real)
    model = apply_short_keys(composed, recipe)
    rows = list(model_rows(model, read_file_comments(folders, "model", name), recipe))
    prefix = f"model.recipes.{recipe}."
    of_recipe = [row for row in rows if row.key.startswith(prefix)]
    show_rows(f"model={name}: keys model.…", [r for r in rows if r not in of_recipe], "model.")
    show_rows(f"recipe={recipe}: keys {prefix}…", of_recipe, prefix)
    metric = metric or model["task"]
    added = list(metric_rows(composed["metric"], read_file_comments(folders, "metric", metric)))
    show_rows(f"metric={metric}: keys metric.…", added, "metric.")
    return [*rows, *added]


def main(argv: list[str] | None = None) -> int:
    """The command; exit code 2 for a configuration that can't be read."""
    parser = make_parser(__doc__, "write the keys as JSON", "keys")
    add_overrides(parser, "dataset=…, model=…, recipe=…")
    return run_verb(list_keys, parser.parse_args(argv))
