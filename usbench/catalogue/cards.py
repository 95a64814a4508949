"""The cards as files: datasets.yaml and models.yaml of a folder, checked against card.*.schema.json, as values.

    usgra:                                   # the card's id
      name: usgra-seg
      source: https://github.com/…           # of every field that doesn't say its own
      verified: author                       # author | third-party | no
      images: 244
      leaks: {value: 7, source: scripts/check.py, verified: third-party, note: …}
      subjects: {unknown: not stated by the release}

A field that isn't there is unknown. It knows YAML and the schemas, no rubric and no score.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from usbench.errors import DataError

Kind = Literal["dataset", "model"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SHIPPED = Path(str(resources.files("usbench.catalogue")))
ABOUT = (
    "name",
    "key",
    "command",
    "alsharid2025",
    "source",
    "verified",
)  # of the card itself: no field
ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MERGE = "tag:yaml.org,2002:merge"  # of <<, which a mapping may have as often as it likes
LONGEST = 160  # characters of a schema's complaint


@dataclass(frozen=True)
class Field:
    """One statement of a card, and who says so; `value` is None where nobody knows."""

    value: Any
    unknown: str | None  # why nobody knows; None: known, or not even that is said
    source: str
    verified: str  # author | third-party | no
    note: str | None = None

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return self.value is not None


@dataclass(frozen=True)
class Card:
    """A dataset or a model."""

    kind: Kind
    id: str
    name: str
    key: str | None  # usbench's own: dataset=KEY or model=KEY
    command: str | None  # what runs it
    row: int | None  # of Alsharid et al. 2025's table of datasets
    source: str
    verified: str
    fields: Mapping[str, Field]  # those that the card has, in the schema's order

    @property
    def runnable(self) -> bool:
        """Whether usbench runs it."""
        return self.key is not None

    def value(self, name: str) -> Any:
        """A field's value, None where it is unknown."""
        field = self.fields.get(name)
        return None if field is None else field.value


@dataclass(frozen=True)
class Cards:
    """All cards of a folder."""

    datasets: tuple[Card, ...]
    models: tuple[Card, ...]

    def of(self, kind: Kind) -> tuple[Card, ...]:
        """Those of one kind."""
        return self.datasets if kind == "dataset" else self.models

    def named(self, word: str) -> Card:
        """The card with this id, key or name, in any case; DataError for none, or several with one name."""
        every = (*self.datasets, *self.models)
        for part in ("id", "key", "name"):
            found = [one for one in every if str(getattr(one, part)).lower() == word.lower()]
            if len(found) == 1:
                return found[0]
            if found:
                raise DataError(
                    f"{word}: one card was wanted, found {', '.join(one.id for one in found)}: take an id"
                )
        near = [one.id for one in every if word.lower() in f"{one.id} {one.name.lower()}"]
        hint = (
            f"did you mean {', '.join(near[:5])}?"
            if near
            else "python scripts/catalogue.py list shows all"
        )
        raise DataError(f"{word}: the id, key or name of a card was wanted; {hint}")


def load(folder: Path = SHIPPED) -> Cards:
    """The cards of a folder: datasets.yaml and models.yaml.

    Raises DataError, naming file and key, for a file that can't be read, a card that breaks the schema, an id, key or
    row that two cards have, and a model whose training data have no card.
    """
    datasets, models = (tuple(_cards(folder / f"{kind}s.yaml", kind)) for kind in KINDS)
    _once(folder / "datasets.yaml", datasets)
    _once(folder / "models.yaml", models)
    known = {card.id for card in datasets}
    for card in models:
        _known(folder, card, known)
    return Cards(datasets, models)


def _known(folder: Path, card: Card, datasets: Collection[str]) -> None:
    """DataError for a model with a dataset's id, or one that names a dataset without a card."""
    file = folder / "models.yaml"
    if card.id in datasets:
        raise DataError(f"{file}: {card.id}: an id of its own was wanted, found that of a dataset")
    named = {
        "training": card.value("training") or (),
        "published": [
            row["dataset"] for row in card.value("published") or () if row["dataset"] is not None
        ],
    }
    for field, others in named.items():
        strange = [other for other in others if other not in datasets]
        if strange:
            raise DataError(
                f"{file}: {card.id}.{field}: ids of cards in {folder / 'datasets.yaml'} were wanted, "
                f"found {', '.join(strange)}; add that card or mend the id"
            )


def fields_of(kind: Kind) -> dict[str, Any]:
    """{field: the JSON schema of its value}, in the order in which they are shown."""
    whole = schema(f"card.{kind}")
    names = {name: node["$ref"] for name, node in whole["properties"].items() if name not in ABOUT}
    return {
        name: _defined(whole, _defined(whole, ref)["else"]["$ref"]) for name, ref in names.items()
    }


def accepts(value_schema: Mapping[str, Any], value: object) -> bool:
    """Whether a value keeps a field's schema."""
    return Draft202012Validator(value_schema).is_valid(value)


@cache
def schema(name: str) -> dict[str, Any]:
    """card.dataset, card.model or rubric."""
    found: dict[str, Any] = json.loads((SHIPPED / f"{name}.schema.json").read_text("utf-8"))
    return found


def fault(value: object, name: str) -> tuple[str, str] | None:
    """(key, what is wrong) of a card or rubric as YAML has it; None where it keeps the schema."""
    error = best_match(_validator(name).iter_errors(value))
    if error is None:
        return None
    return error.json_path.removeprefix("$").removeprefix("."), _words(error)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that is a mapping. DataError where it can't be read, is something else, or has a key twice."""
    try:
        found = yaml.load(path.read_text("utf-8"), Once)
    except (OSError, UnicodeDecodeError) as wrong:
        told = wrong.strerror if isinstance(wrong, OSError) else wrong
        raise DataError(
            f"{path}: a file of the catalogue was wanted here, and can't be read ({told})"
        ) from wrong
    except yaml.YAMLError as wrong:
        raise DataError(f"{path}: YAML was wanted: {' '.join(str(wrong).split())}") from wrong
    if not isinstance(found, dict):
        raise DataError(f"{path}: a mapping was wanted, found {type(found).__name__}")
    return found


class Once(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML's safe types; a key that a mapping has twice is an error, not the last one's."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys are all different."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key} is there twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def _cards(path: Path, kind: Kind) -> Iterator[Card]:
    """The cards of a file, in its order."""
    for name, raw in read_yaml(path).items():
        if not isinstance(name, str) or not ID.fullmatch(name):
            raise DataError(f"{path}: {name}: an id was wanted: a-z, 0-9 and hyphens")
        wrong = fault(raw, f"card.{kind}")
        if wrong is not None:
            raise DataError(
                f"{path}: {'.'.join(filter(None, (name, wrong[0])))}: {wrong[1]}; see card.{kind}.schema.json"
            )
        yield _card(kind, name, raw)


def _card(kind: Kind, name: str, raw: Mapping[str, Any]) -> Card:
    """A sound card of YAML as a value."""
    said = {"source": raw["source"], "verified": raw["verified"]}
    fields = {}
    for field in fields_of(kind):
        if field in raw:
            given = raw[field] if isinstance(raw[field], Mapping) else {"value": raw[field]}
            fields[field] = Field(**{"value": None, "unknown": None, **said, **given})
    key, command, row = raw["key"], raw.get("command"), raw.get("alsharid2025")
    return Card(kind, name, raw["name"], key, command, row, **said, fields=fields)


def _once(path: Path, cards: Sequence[Card]) -> None:
    """DataError where two cards have one key of usbench or one row of the table."""
    owner: dict[tuple[str, object], str] = {}
    for card in cards:
        for part, value in (("key", card.key), ("alsharid2025", card.row)):
            first = owner.setdefault((part, value), card.id)
            if value is not None and first != card.id:
                raise DataError(
                    f"{path}: {card.id}.{part}: {value} is of {first} already; mend one of them"
                )


def _defined(whole: Mapping[str, Any], ref: str) -> dict[str, Any]:
    """What a "#/$defs/…" points at."""
    found: dict[str, Any] = whole["$defs"][ref.rpartition("/")[2]]
    return found


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema(name))


def _words(error: ValidationError) -> str:
    """The schema's complaint on one line, not too long."""
    words = " ".join(error.message.split())
    return words if len(words) <= LONGEST else f"{words[: LONGEST // 2]} … {words[-LONGEST // 2 :]}"
