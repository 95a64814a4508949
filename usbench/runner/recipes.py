"""A model's YAML → its recipes, checked against the keys that the model declares. No torch."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from importlib.machinery import PathFinder
from typing import Any

from usbench.datasets.config import DatasetConfig, field_names
from usbench.errors import ConfigError, RunError, did_you_mean, in_one_line
from usbench.io.config import Composed, compose
from usbench.models.recipe_keys import (
    OTHER_NAMES,
    Keys,
    RecipeKey,
    check_names,
    check_recipe,
    check_values,
    infer_keys,
    names_class,
    rename_spellings,
    show,
)
from usbench.runner.identity import find_source, identify

MODEL_KEYS = (
    "name",
    "task",
    "version",
    "pickled",
    "bf16",
    "extra",
    "needs_weights",
    "recipe_keys",
    "bibtex",
    "build",
    "recipes",
)
# Keys of conf/config.yaml that set a value of the chosen recipe: epochs=30.
SHORT_KEYS = ("epochs", "lr", "batch", "size", "loss", "augment")
NEEDS = {"loss": " (nets on masks or landmarks that usbench's own loop trains have one)"}
PACKAGES = {"transformers": "transformers", "nnunet": "nnunetv2"}  # of usbench's extras
RECIPE_VALUE = re.compile(r"[+~]*model\.recipes\.")  # an override of one
TABLES = {  # recipe keys of the class for one's own nn.Module, where a YAML names no table
    "usbench.models.segmenter.Segmenter": "usbench.models.loop_keys.SEGMENTER",
}
OF_RECIPE = re.compile(r"\+*(model\.recipes\.([^.=@]+)\.([^=@]+))=")  # a value in one
ADDED = re.compile(r"\++(dataset|model)\.([^.=@]+)")  # an override that adds a key
# Overrides that choose what is composed; the values of a model that they choose are its YAML's.
CHOICE = re.compile(r"[+~]*(dataset|model|metric|sweep|hydra\.searchpath)(@[\w.]+)?=")


def check_extra(model: Composed) -> None:
    """Raise RunError where a model needs an extra of usbench that isn't installed here."""
    extra = model.get("extra")
    if extra is None:
        return
    if extra not in PACKAGES:
        raise ConfigError(f"model.extra={extra}: expected one of {', '.join(PACKAGES)}")
    if PathFinder.find_spec(PACKAGES[extra]) is None:
        raise RunError(
            f"model={model['name']} needs the package {PACKAGES[extra]}, which isn't installed; "
            f"pip install 'usbench[{extra}]'"
        )


def load_recipe_keys(model: Composed) -> Keys | None:
    """The table that a model's YAML names, else that of usbench's loop for its class, or None.

    Raises:
        ConfigError: there is no such module or table.
    """
    path = model.get("recipe_keys") or TABLES.get(str((model.get("build") or {}).get("_target_")))
    if path is None:
        return None
    module, _, name = str(path).rpartition(".")
    try:
        keys = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"model.recipe_keys={path}: {in_one_line(error)}") from error
    if not isinstance(keys, dict) or not all(isinstance(key, RecipeKey) for key in keys.values()):
        raise ConfigError(
            f"model.recipe_keys={path}: expected a mapping from names to "
            "usbench.models.recipe_keys.RecipeKey"
        )
    return keys


def read_recipes(model: Composed) -> dict[str, Composed]:
    """A model's recipes with our spelling of each key, checked by the table that it names.

    Raises:
        ConfigError: an unknown key, one that is missing, or a value that can't be, in any recipe.
    """
    recipes: dict[str, Composed] = model["recipes"]
    if not recipes:
        raise ConfigError("model.recipes: expected recipes by name, got none")
    keys = load_recipe_keys(model)
    if keys is None:
        return recipes
    for name, recipe in recipes.items():
        recipes = {**recipes, name: rename_spellings(recipe, keys)}
        check_recipe(recipes[name], keys, model["name"], f"model.recipes.{name}", model["build"])
    return recipes


def apply_short_keys(composed: Composed, recipe: str) -> Composed:
    """The model with what the run's short keys say of its recipe, as `model.recipes.…` would.

    Keys of a section are put beside the recipe's; a class of the user's takes the section's place.

    Args:
        recipe: the chosen one's name.

    Raises:
        ConfigError: the recipe has no such key, or the key doesn't take the value.
    """
    model: Composed = composed["model"]
    given = {key: composed[key] for key in SHORT_KEYS if composed[key] is not None}
    if not given:
        return model
    keys = load_recipe_keys(model) or infer_keys(list(model["recipes"].values()))
    steps = dict(model["recipes"][recipe])
    for key, value in given.items():
        where = f"model={model['name']} recipe={recipe}"
        other = next((name for name in OTHER_NAMES.get(key, ()) if name in keys), "")
        hint = f"; did you mean model.recipes.{recipe}.{other}?" if other else ""
        if key not in keys:
            raise ConfigError(
                f"{key}={show(value)}: {where} has no key {key}{NEEDS.get(key, '')}{hint or ';'} "
                f"it has {', '.join(keys)}"
            )
        if isinstance(value, Mapping) and not names_class(value):
            value = {**(steps.get(key) or {}), **value}
        check_names({key: value}, keys, model["name"])
        try:
            check_values({key: value}, {key: keys[key]}, "")
        except ConfigError as error:
            raise ConfigError(f"{error} ({where}: {keys[key].meaning}){hint}") from error
        steps[key] = value
    return {**model, "recipes": {**model["recipes"], recipe: steps}}


def check_set_once(composed: Composed, overrides: Sequence[str]) -> None:
    """Raise ConfigError where a short key and an override of a recipe set one value."""
    for override in overrides:
        match = OF_RECIPE.match(override)
        key = match[3].partition(".")[0] if match else ""
        if key in SHORT_KEYS and composed[key] is not None:
            raise ConfigError(
                f"{override}: {key}={show(composed[key])} sets the same value; leave one of the "
                "two out"
            )


def check_own_classes(recipe: Mapping[str, object], where: str) -> None:
    """Raise ConfigError for a class of the user's that isn't there or lacks an argument it gets."""
    for key, value in recipe.items():
        if names_class(value):
            identify(value)
            check_arguments(value, f"{where}.{key}")


def check_added_keys(composed: Composed, overrides: Sequence[str]) -> None:
    """Check what overrides change of a dataset and a model whose YAMLs alone say what there is.

    Hydra takes any key after a `+`. A model that names no table of recipe keys may have the keys
    that one of its own recipes spells out, with the types found there.

    Raises:
        ConfigError: an unknown key, or a recipe's value of another type.
    """
    known = {"dataset": field_names(DatasetConfig), "model": MODEL_KEYS}
    for match in filter(None, map(ADDED.match, overrides)):
        group, key = match[1], match[2]
        if key in known[group]:
            continue
        words = {*known[group], *compose_choices(overrides)[group]}
        if key not in words:
            hint = did_you_mean(key, words, f"{group}.{{}}") or "; see usbench keys"
            raise ConfigError(f"{group}.{key}: no such key{hint}")
    model = composed["model"]
    if any(map(RECIPE_VALUE.match, overrides)) and load_recipe_keys(model) is None:
        stated = compose_choices(overrides)["model"]["recipes"]
        keys = infer_keys([recipe for recipe in stated.values() if isinstance(recipe, dict)])
        for name, recipe in model["recipes"].items():
            check_recipe(recipe, keys, model["name"], f"model.recipes.{name}", model["build"])


def check_recipe_overrides(recipes: Collection[str], overrides: Sequence[str]) -> None:
    """Raise ConfigError for a value of a recipe that no run uses, which would do nothing.

    Args:
        recipes: those that the runs use.
    """
    for override in overrides:
        match = OF_RECIPE.match(override)
        if match and match[2] not in recipes:
            recipe = min(recipes)
            key, own = match[1], f"model.recipes.{recipe}.{match[3]}"
            raise ConfigError(f"{key}: this run uses recipe={recipe}; set {own}, or leave it out")


def compose_choices(overrides: Sequence[str]) -> Composed:
    """What the chosen YAMLs spell out, without the overrides' values."""
    return compose([text for text in overrides if CHOICE.match(text)])


def check_arguments(node: Mapping[str, Any], where: str) -> None:
    """Raise ConfigError for an argument that a node's class doesn't take, as its source says.

    Args:
        node: a `_target_` node.
        where: its place in the configuration.
    """
    names = argument_names(str(node.get("_target_")))
    for key in node:
        if names and key not in names and not key.startswith("_"):
            hint = did_you_mean(key, names, f"{where}.{{}}") or f"; it has {', '.join(names)}"
            raise ConfigError(f"{where}.{key}: {node['_target_']} has no such argument{hint}")


def argument_names(target: str) -> list[str]:
    """The arguments of a class's own `__init__`, read from its source, which isn't imported.

    Returns:
        The names; none where the source can't be found or doesn't say all of them.
    """
    module, _, name = target.rpartition(".")
    source = find_source(module) if module else None
    if source is None:
        return []
    for node in ast.parse(source.read_bytes()).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return init_arguments(node)
    return []


def init_arguments(node: ast.ClassDef) -> list[str]:
    """The arguments of a class's `__init__` but self; none where it has none or takes any."""
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__" and not part.args.kwarg:
            arguments = [*part.args.posonlyargs, *part.args.args, *part.args.kwonlyargs]
            return [argument.arg for argument in arguments[1:]]
    return []
