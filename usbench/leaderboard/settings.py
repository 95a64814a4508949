"""What the leaderboard reads from the `config` of a result, and from the models' YAML."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from usbench.results.case_scores import ARGUMENTS
from usbench.results.result import Result

Node = Mapping[str, object]


@dataclass(frozen=True)
class Settings:
    """Parts of the resolved configuration; empty where the result has none."""

    model: Node  # name, version, build and recipe
    dataset: Node
    classes: tuple[str, ...]  # of the result's view
    folds: int  # how many there should be; 0 for a fixed split
    has_released_folds: bool  # they are the release's own, which has no other split
    metric: Node  # the arguments that scores from case tables depend on


def read_settings(result: Result) -> Settings:
    """What the leaderboard needs of a result's configuration."""
    dataset = node_at(result.config, "dataset")
    classes = node_at(dataset, "views", result.task).get("classes")
    split = node_at(dataset, "split")
    folds = split.get("folds")
    metric = node_at(result.config, "metric")
    return Settings(
        model=node_at(result.config, "model"),
        dataset=dataset,
        classes=tuple(classes) if isinstance(classes, (list, tuple)) else (),
        folds=folds if isinstance(folds, int) else 0,
        has_released_folds=split.get("released_folds") is True,
        metric={name: metric[name] for name in ARGUMENTS if name in metric},
    )


def version_of(result: Result) -> int | None:
    """The version of the adapter that trained a result's model; None where it isn't known."""
    version = read_settings(result).model.get("version")
    return version if isinstance(version, int) else None


def node_at(node: Node, *path: str) -> Node:
    """The mapping at a path of keys; {} where there is none."""
    for key in path:
        value = node.get(key)
        if not isinstance(value, Mapping):
            return {}
        node = value
    return node


def names_class(value: object) -> TypeGuard[Node]:
    """Whether a value of a recipe names a class of the user's, {_target_: …}."""
    return isinstance(value, Mapping) and "_target_" in value


def flatten(node: object, name: str = "") -> Iterator[tuple[str, object]]:
    """(dotted name, value) for every value of nested mappings; an empty mapping is a value."""
    if not isinstance(node, Mapping) or not node:
        yield name, node
        return
    for key, value in node.items():
        yield from flatten(value, f"{name}.{key}" if name else str(key))


def recipe_values(result: Result) -> dict[str, str]:
    """Dotted name → JSON of what results share when only their seeds differ.

    It lacks dataset, model, recipe and fold, by which results are told apart already.
    """
    model = dict(node_at(result.config, "model"))
    model.pop("recipes", None)
    values = {name: json.dumps(value) for name, value in flatten(model) if value != {}}
    values |= {"precision": str(result.precision), "data": str(result.data.fingerprint)[:8]}
    if result.series is not None:
        values["series"] = result.series
    return values
