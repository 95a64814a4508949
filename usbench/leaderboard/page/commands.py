"""The commands that make a row of the board, as one would type them.

What a run was told is read off its record: its configuration beside the YAML of its model and dataset as they are now;
where they differ in plain values, the command says those. A record that no short command describes has none here: it is
done again from the record alone (scripts/reproduce.py).
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from usbench.leaderboard.rows import Row

PLAIN = re.compile(r"[A-Za-z0-9_./-]+")  # what Hydra reads as a word without quotes
WORDS = ("unstated", "note")  # of a recipe: said to people, not part of a run
SAID = {
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
Node = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """How one record is made."""

    words: (
        tuple[str, ...] | None
    )  # of python -m usbench, without seed and fold; None: no short command does it
    seed: int | None = None
    fold: int | None = None
    again: bool = False  # scripts/reproduce.py takes it


def read(conf: Path) -> dict[str, dict[str, Node]]:
    """{model: {name: YAML}, dataset: {name: YAML}}; a file that is no mapping is left out (it is named elsewhere)."""
    found: dict[str, dict[str, Node]] = {"model": {}, "dataset": {}}
    for group, nodes in found.items():
        for path in sorted((conf / group).glob("*.yaml")):
            node = yaml.safe_load(path.read_text("utf-8"))
            if isinstance(node, dict):
                nodes[path.stem] = node
    return found


def runs(records: Iterable[Node], conf: Mapping[str, Mapping[str, Node]]) -> dict[str, Run]:
    """{key: how it is made} of the records of our own runs. conf: see `read`."""
    return {record["run_id"]: _run(record, conf) for record in records if record["origin"] == "run"}


def _run(record: Node, conf: Mapping[str, Mapping[str, Node]]) -> Run:
    again = record["status"] == "done" and not record.get("trained_on")
    return Run(_words(record, conf), record["seed"], record["fold"], again)


def _words(record: Node, conf: Mapping[str, Mapping[str, Node]]) -> tuple[str, ...] | None:
    config, trained = record["config"], record.get("trained_on") or record["dataset"]
    model, dataset = conf["model"].get(record["model"]), conf["dataset"].get(trained)
    if model is None or dataset is None or record.get("tuned") or "model" not in config:
        return None
    told = _model_words(config["model"], model, record["recipe"], dataset.get("size"))
    data = [] if record.get("trained_on") else _dataset_words(config.get("dataset") or {}, dataset)
    if told is None:
        return None
    named = [
        f"dataset={trained}",
        "source=real",
        f"model={record['model']}",
        f"recipe={record['recipe']}",
    ]
    precise = [f"precision={record['precision']}"] if record.get("precision") else []
    elsewhere = [f"evaluate_on=[{record['dataset']}]"] if record.get("trained_on") else []
    return (*named, *precise, *data, *told, *elsewhere)


def _model_words(made: Node, model: Node, recipe: str, native: Any) -> list[str] | None:
    """The words that turn a model's YAML into what was run; None where words can't."""
    if recipe not in model.get("recipes", {}) or made.get("version") != model.get("version"):
        return None
    build, steps = dict(model.get("build") or {}), dict(model["recipes"][recipe])
    there = (
        made.get("recipe") or {}
    )  # as cell.resolve_model does: the recipe lends what the build leaves null
    lent = [
        key for key, value in build.items() if value is None and key in steps and key not in there
    ]
    build |= {key: steps.pop(key) for key in lent}
    if isinstance(steps.get("size"), int) and native:
        from usbench.runner.config import shape  # slow to import

        steps["size"] = shape(steps["size"], native)
    ours, theirs = ({k: v for k, v in node.items() if k not in WORDS} for node in (there, steps))
    parts = (
        _differences(made.get("build") or {}, build, "model.build"),
        _differences(ours, theirs, f"model.recipes.{recipe}"),
    )
    return None if None in parts else [word for part in parts if part is not None for word in part]


def _dataset_words(made: Node, dataset: Node) -> list[str]:
    """Plain values of a dataset that were chosen otherwise, such as whose annotations."""
    plain = {
        name
        for name, value in dataset.items()
        if isinstance(value, (str, int)) and name not in SAID
    }
    changed = {
        name: made[name] for name in sorted(plain) if name in made and made[name] != dataset[name]
    }
    return [f"dataset.{name}={_value(value)}" for name, value in changed.items()]


def _differences(made: Node, stated: Node, name: str) -> list[str] | None:
    """Words for what differs; None where something stated is gone or can't be said in a word."""
    mine, theirs = _leaves(made, name), _leaves(stated, name)
    if set(theirs) - set(mine):
        return None
    told = [
        (path, _value(value))
        for path, value in mine.items()
        if path not in theirs or theirs[path] != value
    ]
    if any(text is None for _, text in told):
        return None
    return [f"{'' if path in theirs else '++'}{path}={text}" for path, text in told]


def _leaves(node: Any, name: str) -> dict[str, Any]:
    if not isinstance(node, Mapping) or not node:
        return {name: node}
    return {
        path: leaf
        for key, value in node.items()
        for path, leaf in _leaves(value, f"{name}.{key}").items()
    }


def _value(value: Any) -> str | None:
    """A value as Hydra reads it on a command line; None for what is better read from a file."""
    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) else None
    if isinstance(value, list):
        parts = [_value(part) for part in value]
        return (
            None
            if None in parts
            else "[" + ",".join(part for part in parts if part is not None) + "]"
        )
    return None if isinstance(value, Mapping) else json.dumps(value)


def _line(*words: str) -> str:
    return " ".join(map(shlex.quote, words))


def of_row(row: Row, known: Mapping[str, Run]) -> str:
    """The command that makes a row; "" where no short one does."""
    where = f"dataset={row.dataset}"
    if row.origin == "published":
        return _published(row)
    if row.origin == "baseline":
        return _line("python", "scripts/sanity.py", where, f"task={row.task}", "source=real")
    if row.origin == "human":
        return _line("python", "scripts/interrater.py", where)
    if row.origin == "external":
        entered = (
            "--dataset",
            row.dataset,
            "--predictions",
            "PREDICTIONS",
            "--name",
            row.model or row.name,
        )
        return _line("python", "scripts/score.py", row.task, *entered)
    return _ours([known[key] for key in row.keys if key in known])


def _published(row: Row) -> str:
    """What runs the model of a published row, as far as the paper says how."""
    if row.model is None:
        return ""
    words = [f"dataset={row.trained_on or row.dataset}", "source=real", f"model={row.model}"]
    words += [f"recipe={row.recipe}"] if row.recipe else []
    words += [f"evaluate_on=[{row.dataset}]"] if row.trained_on else []
    return _line("python", "-m", "usbench", *words)


def _ours(found: list[Run]) -> str:
    """All seeds and folds of a recipe in one command."""
    words = found[0].words if found else None
    if words is None or any(run.words != words for run in found):
        return ""
    chosen = {
        name: sorted({value for run in found if (value := getattr(run, name)) is not None})
        for name in ("seed", "fold")
    }
    several = ["-m"] if any(len(values) > 1 for values in chosen.values()) else []
    told = [f"{name}={','.join(map(str, values))}" for name, values in chosen.items() if values]
    return _line("python", "-m", "usbench", *several, *words, *told)
