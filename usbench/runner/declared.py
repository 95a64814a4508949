"""The keys that may stand at a place of the configuration though no YAML spells them out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from usbench.datasets import source
from usbench.datasets.config import (
    DatasetConfig,
    LeakageConfig,
    SplitConfig,
    ViewConfig,
    field_names,
)
from usbench.errors import ConfigError, UsbenchError
from usbench.io.config import compose_alone
from usbench.models.recipe_keys import Keys, Section
from usbench.runner.recipes import CHOICE, MODEL_KEYS, load_recipe_keys
from usbench.runner.resolve import choose_recipe

DATA = re.compile(r"(recipe|data|source|dataset\.root)=")  # overrides that decide for a recipe


def declared_keys(path: str, arguments: Sequence[str], config_dir: Path | None) -> Sequence[str]:
    """The keys that may stand below a path.

    Args:
        path: such as dataset.split.
        arguments: the command's, which choose the dataset and the model.
        config_dir: a further folder of configuration.
    """
    match path.split("."):
        case ["dataset"]:
            return field_names(DatasetConfig)
        case ["dataset", "split"]:
            return field_names(SplitConfig)
        case ["dataset", "leakage"]:
            return field_names(LeakageConfig)
        case ["dataset", "views", _]:
            return field_names(ViewConfig)
        case ["model"]:
            return MODEL_KEYS
        case ["model", "recipes", _, *sections]:
            return list(section_keys(chosen_recipe_keys(arguments, config_dir), sections))
    return ()


def recipe_path(key: str, arguments: Sequence[str], config_dir: Path | None) -> str | None:
    """The whole path of a key of the chosen model's recipe; None where it has no such key."""
    choices = [argument for argument in arguments if CHOICE.match(argument) or DATA.match(argument)]
    try:
        composed = compose_alone(choices, config_dir)
        dataset = DatasetConfig.from_mapping(composed["dataset"])
        real = not dataset.phantom
        real = real or source.locate(dataset, composed["data"], composed["source"])[0]
        name = choose_recipe(composed, dataset, real)
        keys = {*(load_recipe_keys(composed["model"]) or {}), *composed["model"]["recipes"][name]}
    except UsbenchError:
        return None
    return f"model.recipes.{name}.{key}" if key.partition(".")[0] in keys else None


def chosen_recipe_keys(arguments: Sequence[str], config_dir: Path | None) -> Keys:
    """The recipe keys that the chosen model declares; none where that can't be told."""
    choices = [argument for argument in arguments if CHOICE.match(argument)]
    try:
        return load_recipe_keys(compose_alone(choices, config_dir)["model"]) or {}
    except ConfigError:
        return {}


def section_keys(keys: Keys, sections: Sequence[str]) -> Keys:
    """The keys of a section in a recipe; none where there is no such section."""
    for section in sections:
        kind = keys[section].kind if section in keys else None
        keys = kind.keys if isinstance(kind, Section) else {}
    return keys
