"""The keys of a recipe: which a model reads, what they may be, their defaults and meanings.

A model's YAML names its table, `recipe_keys: package.module.KEYS`, a mapping from key to
`RecipeKey`. Tables stand in modules without torch: the command checks a recipe against one before
it starts anything, `usbench keys` shows it, and the model reads its defaults from it.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeGuard

import yaml

from usbench.errors import ConfigError, in_one_line
from usbench.models import Recipe
from usbench.models.value_kinds import (
    Anything,
    Choice,
    Flag,
    ListOf,
    Number,
    OneOf,
    Text,
    ValueKind,
)

REQUIRED = object()  # the default of a key that a recipe must state
LONGEST_VALUE = 60  # letters of a value in a message
OPTIONAL = object()  # the default of a key that may be left out, and then isn't there
SPELLINGS = {"optimiser": "optimizer"}  # other spelling → ours
OTHER_NAMES = {  # what other programs call a key → what it may be called here
    "learning_rate": ("lr", "lr0"),
    "lr": ("lr0",),
    "lr0": ("lr",),
    "batch_size": ("batch",),
    "imgsz": ("size",),
    "size": ("imgsz",),
    "image_size": ("size", "imgsz"),
}


# ---- keys


@dataclass(frozen=True)
class Section:
    """Keys of its own, or a class of the user's where that may stand instead."""

    keys: Mapping[str, RecipeKey]
    own_class: bool = False  # {_target_: …} may stand here, see usbench.models.custom

    def accepts(self, value: object) -> bool:
        """See ValueKind. Its keys are checked one by one."""
        return isinstance(value, Mapping)

    def __str__(self) -> str:
        kinds = [f"keys with values ({', '.join(self.keys)})"] if self.keys else []
        if self.own_class:
            kinds.append("{_target_: …} of your own")
        return ", or ".join(kinds) or "{}"


def no_rule(recipe: Recipe) -> str:
    """The rule of a key that depends on no other: nothing is wrong."""
    return ""


@dataclass(frozen=True)
class RecipeKey:
    """One key of a recipe, or of a section in it."""

    kind: ValueKind
    meaning: str
    default: Any = REQUIRED  # where a recipe leaves the key out; None also allows null
    for_build: bool = False  # model.build takes it where it says null; the model needs no default
    # What is wrong with its value beside the others, as "expected …"; "" if nothing. The recipe
    # that it gets has every default.
    rule: Callable[[Recipe], str] = no_rule

    @property
    def has_default(self) -> bool:
        """Whether a model reads a value where a recipe leaves the key out."""
        return self.default is not REQUIRED and self.default is not OPTIONAL

    @property
    def nullable(self) -> bool:
        """Whether null is allowed."""
        return self.default is None

    def __str__(self) -> str:
        return f"{self.kind}, or null" if self.nullable else str(self.kind)


Keys = Mapping[str, RecipeKey]
FOR_PEOPLE: Keys = {  # of every recipe; they decide nothing
    "unstated": RecipeKey(ListOf(Text()), "what a paper leaves open and we chose", None),
    "note": RecipeKey(Text(), "a remark for readers", None),
}


def setting(default: float, kind: ValueKind, meaning: str) -> Any:
    """A field of a dataclass that is a section of recipes, see `keys_of`."""
    return field(default=default, metadata={"key": RecipeKey(kind, meaning, default)})


def keys_of(section: type) -> Keys:
    """The keys of a dataclass whose fields are each a `setting`."""
    return {item.name: item.metadata["key"] for item in fields(section)}


def names_class(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a value names a class: {_target_: package.module.Class, …}."""
    return isinstance(value, Mapping) and "_target_" in value


def inner_keys(key: RecipeKey, value: object) -> Keys | None:
    """The keys that a section's value may have; None for a class of the user's, and no section."""
    section = key.kind
    if not isinstance(section, Section) or not isinstance(value, Mapping):
        return None
    return None if section.own_class and names_class(value) else section.keys


# ---- checks


def rename_spellings(recipe: Recipe, keys: Keys) -> dict[str, Any]:
    """The recipe with our spelling of each key; of two spellings the later one counts.

    An override on the command line comes after what a YAML states.
    """
    renamed: dict[str, Any] = {}
    for key, value in recipe.items():
        ours = SPELLINGS.get(key, key)
        renamed[ours if ours in keys and key not in keys else key] = value
    return renamed


def check_recipe(
    recipe: object,
    keys: Keys,
    model: str,
    where: str = "recipe",
    build: Mapping[str, object] | None = None,
) -> None:
    """Check a recipe against the keys that its model reads.

    Args:
        model: its name, for the message.
        where: the recipe's place in the configuration.
        build: the model's arguments, which make a key for them needless; None: all are there.

    Raises:
        ConfigError: an unknown key, one that is missing, or a value that can't be.
    """
    if not isinstance(recipe, Mapping):
        raise ConfigError(f"{where}: expected keys with values, got {recipe!r}")
    keys = {**keys, **FOR_PEOPLE}
    check_names(recipe, keys, model)
    built = {name for name, key in keys.items() if key.for_build}
    if build is not None:
        built = {name for name in built if build.get(name) is not None}
    check_values(recipe, keys, where, built)
    filled = fill_defaults(recipe, keys)
    for name, key in keys.items():
        if fault := key.rule(filled):
            raise ConfigError(f"{where}.{name}={show(filled.get(name))}: {fault}")


def check_names(recipe: Recipe, keys: Keys, model: str, prefix: str = "") -> None:
    """Raise ConfigError for an unknown key, in a section too."""
    for name, value in recipe.items():
        if name not in keys and name == "_target_":
            raise ConfigError(
                f"recipe key '{prefix}{name}' for {model}: expected {', '.join(keys)}; its "
                "trainer takes no class of yours here"
            )
        if name not in keys:
            nearest = suggest(str(name), [*keys, *prefix_sections(keys)])
            hint = f"; did you mean '{prefix}{nearest}'?" if nearest else ""
            raise ConfigError(
                f"unknown recipe key '{prefix}{name}' for {model}{hint} "
                f"(usbench keys model={model} lists them)"
            )
        inner = inner_keys(keys[name], value)
        if inner is not None:
            check_names(value, inner, model, f"{prefix}{name}.")


def prefix_sections(keys: Keys) -> list[str]:
    """The keys of sections, with the section's name."""
    return [
        f"{name}.{inner}"
        for name, key in keys.items()
        if isinstance(key.kind, Section)
        for inner in key.kind.keys
    ]


def suggest(name: str, words: Iterable[str]) -> str:
    """The word that a misspelt one is most like; "": it is like none.

    Args:
        words: a key in a section as `section.key`, which its end alone finds.
    """
    ends: dict[str, str] = {}
    for word in words:
        ends.setdefault(word.rpartition(".")[2].lower(), word)
    for other in OTHER_NAMES.get(name, ()):
        if other in ends:
            return ends[other]
    nearest = difflib.get_close_matches(name.lower(), ends, 1, cutoff=0.4)
    return ends[nearest[0]] if nearest else ""


def check_values(recipe: Recipe, keys: Keys, where: str, needless: Iterable[str] = ()) -> None:
    """Raise ConfigError for a key that is missing, or a value that its key doesn't allow.

    Args:
        where: the recipe's place in the configuration; "": the key stands alone.
        needless: keys that may be missing.
    """
    missing = [
        f"{name!r} ({key.meaning}: {key})"
        for name, key in keys.items()
        if name not in recipe and key.default is REQUIRED and name not in needless
    ]
    if missing:
        noun = "a key" if len(missing) == 1 else "the keys"
        raise ConfigError(f"{where}: expected {noun} {', '.join(missing)}, got none")
    for name, value in recipe.items():
        key, place = keys[name], f"{where}.{name}" if where else name
        if value is None and key.nullable:
            continue
        if value is None or not key.kind.accepts(value):
            nearest = ""
            if isinstance(key.kind, Choice) and isinstance(value, str):
                nearest = suggest(value, key.kind.words)
            hint = f"; did you mean {nearest}?" if nearest else ""
            raise ConfigError(f"{place}={show(value)}: expected {key}, got {show(value)}{hint}")
        inner = inner_keys(key, value)
        if inner is not None:
            check_values(value, inner, place)


def show(value: object) -> str:
    """A value as YAML writes it, cut to a length that a line can hold."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=math.inf)
    text = in_one_line(text.strip().removesuffix("..."))
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def fill_defaults(recipe: Recipe, keys: Keys) -> dict[str, Any]:
    """The recipe with the default of each key that it leaves out, in its sections too."""
    filled = dict(recipe)
    for name, key in keys.items():
        if name not in filled and key.has_default:
            filled[name] = key.default
        inner = inner_keys(key, filled.get(name))
        if inner is not None:
            filled[name] = fill_defaults(filled[name], inner)
    return filled


def read_recipe(recipe: Recipe, keys: Keys, model: str) -> dict[str, Any]:
    """Check a recipe and fill in its defaults, as a model does. Raises as `check_recipe`."""
    check_recipe(recipe, keys, model)
    return fill_defaults(recipe, keys)


# ---- a YAML without a table


def infer_keys(recipes: Sequence[Recipe]) -> Keys:
    """The keys that at least one of a model's recipes spells out, with the kinds found there.

    A value that is a whole number in one recipe and not in another may be any number. None of
    the keys is required, and each may be null where a recipe says null.
    """
    stated: dict[str, list[Any]] = {}
    for recipe in recipes:
        for name, value in recipe.items():
            stated.setdefault(str(name), []).append(value)
    return {name: infer_key(values) for name, values in stated.items()}


def infer_key(values: Sequence[Any]) -> RecipeKey:
    """A key by the values that recipes state for it."""
    default = None if None in values else OPTIONAL
    return RecipeKey(infer_kind([value for value in values if value is not None]), "", default)


def infer_kind(values: Sequence[Any]) -> ValueKind:
    """The kind of values that all of these have; there may be none of them."""
    kinds: list[ValueKind] = []
    if any(isinstance(value, bool) for value in values):
        kinds.append(Flag())
    numbers = [value for value in values if type(value) in (int, float)]
    if numbers:
        kinds.append(Number(whole=all(type(number) is int for number in numbers)))
    if any(isinstance(value, str) for value in values):
        kinds.append(Text())
    if any(isinstance(value, (list, tuple)) for value in values):
        kinds.append(ListOf(Anything(), shortest=0))
    if sections := [value for value in values if isinstance(value, Mapping)]:
        kinds.append(Section(infer_keys(sections)))
    if not kinds:
        return Anything()
    return kinds[0] if len(kinds) == 1 else OneOf(tuple(kinds))
