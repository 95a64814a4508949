"""The keys that may stand at a place of the configuration though no YAML spells them out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from usbench.datasets.config import (
    DatasetConfig,
    LeakageConfig,
    SplitConfig,
    ViewConfig,
    field_names,
)
from usbench.errors import ConfigError
from usbench.io.config import compose_alone
from usbench.models.recipe_keys import Keys, Section
from usbench.runner.recipes import CHOICE, MODEL_KEYS, load_recipe_keys


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
