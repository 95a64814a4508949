"""The cards as files: datasets.yaml and models.yaml of a folder, checked against their schemas.

    usgra:                                   # the card's id
      name: usgra-seg
      source: https://github.com/…           # of every field that doesn't state its own
      verified: author                       # author | third-party | no
      images: 244
      leaks: {value: 7, source: usbench check, verified: third-party, note: …}
      subjects: {unknown: not stated by the release}

A field that isn't there is unknown. This module knows YAML and schemas, no rubric and no score.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any, Literal, get_args

from usbench.errors import ConfigError, DataError
from usbench.io.bibtex import read_entries
from usbench.io.files import JsonObject
from usbench.io.json_schema import Schema, find_fault, load_schema
from usbench.io.yaml_file import read_yaml

Kind = Literal["dataset", "model"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SHIPPED = Path(str(resources.files("usbench.catalogue")))
# Keys that describe the card itself and are no field of it.
ABOUT = ("name", "key", "command", "alsharid2025", "source", "verified")
ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Field:
    """One statement of a card, and who made it; `value` is None where it is unknown."""

    value: Any
    unknown: str | None  # why it is unknown; None: it is known, or no reason is given
    source: str
    verified: str  # author | third-party | no
    note: str | None = None


@dataclass(frozen=True)
class Card:
    """A dataset or a model."""

    kind: Kind
    id: str
    name: str
    key: str | None  # dataset=KEY or model=KEY of usbench; None: it isn't runnable
    command: str | None  # runs it
    row: int | None  # in the table of datasets of Alsharid et al. 2025
    source: str
    verified: str
    fields: Mapping[str, Field]  # those that the card has, in the schema's order

    def value(self, name: str) -> Any:
        """A field's value, None where it is unknown."""
        return self.fields[name].value if name in self.fields else None


def list_entries(value: Any) -> list[Any]:
    """A value as a list: a list as it is, anything else as its only entry."""
    return value if isinstance(value, list) else [value]


@dataclass(frozen=True)
class Cards:
    """All cards of a folder."""

    datasets: tuple[Card, ...]
    models: tuple[Card, ...]

    def of_kind(self, kind: Kind) -> tuple[Card, ...]:
        """The cards of one kind."""
        return self.datasets if kind == "dataset" else self.models

    def find(self, name: str) -> Card:
        """Find a card by its id, else its key, else its name, in any case.

        Raises:
            DataError: no card has it, or several have the same name.
        """
        cards = (*self.datasets, *self.models)
        for part in ("id", "key", "name"):
            matches = [card for card in cards if (vars(card)[part] or "").lower() == name.lower()]
            if len(matches) == 1:
                return matches[0]
            if matches:
                raise DataError(
                    f"{name}: expected one card, got {', '.join(card.id for card in matches)}; "
                    "use an id"
                )
        near = [card.id for card in cards if name.lower() in f"{card.id} {card.name.lower()}"]
        hint = "usbench catalogue list shows all"
        if near:
            hint = f"did you mean {', '.join(near[:5])}?"
        raise DataError(f"{name}: expected the id, key or name of a card; {hint}")


def load_cards(folder: Path = SHIPPED) -> Cards:
    """Load datasets.yaml and models.yaml of a folder.

    Raises:
        DataError: names file and key of a file that can't be read, a card that breaks the schema,
            an id, key or row that two cards have, a model whose training data have no card, or a
            `bibtex` that isn't BibTeX.
    """
    cards = Cards(_read_cards(folder, "dataset"), _read_cards(folder, "model"))
    ids = {card.id for card in cards.datasets}
    for card in cards.models:
        _require_datasets(folder, card, ids)
        _require_bibtex(folder, card)
    return cards


def card_schema(kind: Kind) -> Schema:
    """The schema of a kind of card."""
    return load_schema("usbench.catalogue", f"card.{kind}.schema.json")


def fields_of(kind: Kind) -> dict[str, JsonObject]:
    """{field: JSON schema of its value}, in the order in which fields are shown."""
    content = card_schema(kind).content
    definitions = {f"#/$defs/{name}": node for name, node in content["$defs"].items()}
    return {
        name: definitions[definitions[node["$ref"]]["else"]["$ref"]]
        for name, node in content["properties"].items()
        if name not in ABOUT
    }


def read_mapping(path: Path) -> JsonObject:
    """Read a YAML file that is a mapping.

    Raises:
        DataError: the file can't be read, isn't a mapping, or has a key twice.
    """
    content = read_yaml(path, DataError)
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a mapping, got {type(content).__name__}")
    return content


def _read_cards(folder: Path, kind: Kind) -> tuple[Card, ...]:
    path = folder / f"{kind}s.yaml"
    cards = []
    owners: dict[tuple[str, object], str] = {}
    for id, raw in read_mapping(path).items():
        if not isinstance(id, str) or not ID.fullmatch(id):
            raise DataError(f"{path}: key {id}: expected an id of a-z, 0-9 and hyphens")
        fault = find_fault(card_schema(kind), raw, at=id)
        if fault is not None:
            raise DataError(f"{path}: {fault}; see card.{kind}.schema.json")
        for part in ("key", "alsharid2025"):
            value = raw.get(part)
            owner = owners.setdefault((part, value), id)
            if value is not None and owner != id:
                raise DataError(f"{path}: key {id}.{part}: {owner} has {value} already; change one")
        cards.append(_make_card(kind, id, raw))
    return tuple(cards)


def _make_card(kind: Kind, id: str, raw: JsonObject) -> Card:
    about: JsonObject = {name: raw.get(name) for name in ABOUT}
    origin = {"source": raw["source"], "verified": raw["verified"]}
    fields = {}
    for name in filter(raw.__contains__, fields_of(kind)):
        stated = raw[name] if isinstance(raw[name], dict) else {"value": raw[name]}
        fields[name] = Field(**{"value": None, "unknown": None, **origin, **stated})
    return Card(kind, id, row=about.pop("alsharid2025"), fields=fields, **about)


def _require_datasets(folder: Path, card: Card, datasets: Collection[str]) -> None:
    """Raise DataError for a model with a dataset's id, or one that names an unknown dataset."""
    file = folder / "models.yaml"
    if card.id in datasets:
        raise DataError(f"{file}: key {card.id}: expected an unused id, got that of a dataset")
    named = {
        "training": card.value("training") or (),
        "published": [row["dataset"] for row in card.value("published") or ()],
    }
    for field, ids in named.items():
        unknown = sorted({*ids} - {*datasets, None})
        if unknown:
            raise DataError(
                f"{file}: key {card.id}.{field}: expected ids of {folder / 'datasets.yaml'}, "
                f"got {', '.join(unknown)}; add that card or correct the id"
            )


def _require_bibtex(folder: Path, card: Card) -> None:
    """Raise DataError for a model whose `bibtex` isn't BibTeX."""
    try:
        read_entries(card.value("bibtex") or "", f"key {card.id}.bibtex")
    except ConfigError as error:
        raise DataError(f"{folder / 'models.yaml'}: {error}") from error


# ---- which cards are asked for


@dataclass(frozen=True)
class Filter:
    """What a card must state; None: anything. A card whose field is unknown doesn't match."""

    anatomy: str | None = None
    task: str | None = None
    access: str | None = None
    licence: str | None = None
    runnable: bool = False  # only what usbench runs

    def matches(self, card: Card) -> bool:
        """Whether a card states all that is asked for; of a list any entry will do."""
        expected = {
            "anatomy": self.anatomy,
            "tasks": self.task,
            "access": self.access,
            "licence": self.licence,
        }
        return (card.key is not None or not self.runnable) and all(
            value is None or value in list_entries(card.value(field))
            for field, value in expected.items()
        )


def allowed_values(field: str, kinds: Iterable[Kind] = ("dataset",)) -> list[str]:
    """The values that a field of cards can have, in the schema's order."""
    schemas = [fields_of(kind)[field] for kind in kinds]
    values = (schema.get("items", schema)["enum"] for schema in schemas)
    return list(dict.fromkeys(chain.from_iterable(values)))
