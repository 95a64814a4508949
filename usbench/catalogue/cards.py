"""The cards as files: datasets.yaml and models.yaml of a folder, checked against their schemas.

    usgra:                                   # the card's id
      name: usgra-seg
      source: https://github.com/…           # of every field that doesn't state its own
      verified: author                       # author | third-party | no
      images: 244
      leaks: {value: 7, source: scripts/check.py, verified: third-party, note: …}
      subjects: {unknown: not stated by the release}

A field that isn't there is unknown. This module knows YAML and schemas, no rubric and no score.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from usbench.errors import DataError
from usbench.io.json_schema import Schema, find_fault, load_schema

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML was built without its C library
    from yaml import SafeLoader  # type: ignore[assignment]

Kind = Literal["dataset", "model"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SHIPPED = Path(str(resources.files("usbench.catalogue")))
# Keys that describe the card itself and are no field of it.
ABOUT = ("name", "key", "command", "alsharid2025", "source", "verified")
ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MERGE = "tag:yaml.org,2002:merge"  # the tag of <<, which a mapping may have several times


@dataclass(frozen=True)
class Field:
    """One statement of a card, and who made it; `value` is None where it is unknown."""

    value: Any
    unknown: str | None  # why it is unknown; None: it is known, or no reason is given
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
    key: str | None  # dataset=KEY or model=KEY of usbench
    command: str | None  # runs it
    row: int | None  # in the table of datasets of Alsharid et al. 2025
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

    def of_kind(self, kind: Kind) -> tuple[Card, ...]:
        """The cards of one kind."""
        return self.datasets if kind == "dataset" else self.models

    def find(self, word: str) -> Card:
        """Find a card by its id, else its key, else its name, in any case.

        Raises:
            DataError: no card has it, or several have the same name.
        """
        cards = (*self.datasets, *self.models)
        for names in (
            {card.id: card.id for card in cards},
            {card.id: card.key for card in cards},
            {card.id: card.name for card in cards},
        ):
            ids = [id for id, name in names.items() if name and name.lower() == word.lower()]
            if len(ids) == 1:
                return next(card for card in cards if card.id == ids[0])
            if ids:
                raise DataError(f"{word}: expected one card, got {', '.join(ids)}; use an id")
        near = [card.id for card in cards if word.lower() in f"{card.id} {card.name.lower()}"]
        hint = "python scripts/catalogue.py list shows all"
        if near:
            hint = f"did you mean {', '.join(near[:5])}?"
        raise DataError(f"{word}: expected the id, key or name of a card; {hint}")


def load_cards(folder: Path = SHIPPED) -> Cards:
    """Load datasets.yaml and models.yaml of a folder.

    Raises:
        DataError: names file and key of a file that can't be read, a card that breaks the schema,
            an id, key or row that two cards have, or a model whose training data have no card.
    """
    datasets = tuple(_read_cards(folder / "datasets.yaml", "dataset"))
    models = tuple(_read_cards(folder / "models.yaml", "model"))
    _require_unique(folder / "datasets.yaml", datasets)
    _require_unique(folder / "models.yaml", models)
    ids = {card.id for card in datasets}
    for card in models:
        _require_datasets(folder, card, ids)
    return Cards(datasets, models)


def card_schema(kind: Kind) -> Schema:
    """The schema of a kind of card."""
    return load_schema("usbench.catalogue", f"card.{kind}.schema.json")


def fields_of(kind: Kind) -> dict[str, dict[str, Any]]:
    """{field: JSON schema of its value}, in the order in which fields are shown."""
    content = card_schema(kind).content
    fields = {}
    for name, node in content["properties"].items():
        if name not in ABOUT:
            statement = _resolve(content, node["$ref"])
            fields[name] = _resolve(content, statement["else"]["$ref"])
    return fields


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that is a mapping.

    Raises:
        DataError: the file can't be read, isn't a mapping, or has a key twice.
    """
    try:
        content = yaml.load(path.read_text("utf-8"), StrictLoader)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{path}: expected a catalogue file, can't read it ({reason})") from error
    except yaml.YAMLError as error:
        raise DataError(f"{path}: expected YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a mapping, got {type(content).__name__}")
    return content


class StrictLoader(SafeLoader):
    """YAML's safe types; a key that a mapping has twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping whose keys are all different."""
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key} is there twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def _read_cards(path: Path, kind: Kind) -> Iterator[Card]:
    """The cards of a file, in its order."""
    for name, raw in read_yaml(path).items():
        if not isinstance(name, str) or not ID.fullmatch(name):
            raise DataError(f"{path}: key {name}: expected an id of a-z, 0-9 and hyphens")
        fault = find_fault(card_schema(kind), raw, at=name)
        if fault is not None:
            raise DataError(f"{path}: {fault}; see card.{kind}.schema.json")
        yield _make_card(kind, name, raw)


def _make_card(kind: Kind, name: str, raw: Mapping[str, Any]) -> Card:
    """A card from valid YAML."""
    origin = {"source": raw["source"], "verified": raw["verified"]}
    fields = {}
    for field in fields_of(kind):
        if field in raw:
            stated = raw[field] if isinstance(raw[field], Mapping) else {"value": raw[field]}
            fields[field] = Field(**{"value": None, "unknown": None, **origin, **stated})
    return Card(
        kind,
        name,
        raw["name"],
        raw["key"],
        raw.get("command"),
        raw.get("alsharid2025"),
        **origin,
        fields=fields,
    )


def _require_unique(path: Path, cards: Sequence[Card]) -> None:
    """Raise DataError where two cards have one key of usbench or one row of the table."""
    owners: dict[tuple[str, object], str] = {}
    for card in cards:
        for part, value in (("key", card.key), ("alsharid2025", card.row)):
            owner = owners.setdefault((part, value), card.id)
            if value is not None and owner != card.id:
                key = f"{card.id}.{part}"
                raise DataError(f"{path}: key {key}: {owner} has {value} already; change one")


def _require_datasets(folder: Path, card: Card, datasets: Collection[str]) -> None:
    """Raise DataError for a model with a dataset's id, or one that names an unknown dataset."""
    file = folder / "models.yaml"
    if card.id in datasets:
        raise DataError(f"{file}: key {card.id}: expected an unused id, got that of a dataset")
    published = [row["dataset"] for row in card.value("published") or ()]
    for field, ids in (("training", card.value("training") or ()), ("published", published)):
        unknown = [id for id in ids if id is not None and id not in datasets]
        if unknown:
            raise DataError(
                f"{file}: key {card.id}.{field}: expected ids of {folder / 'datasets.yaml'}, "
                f"got {', '.join(unknown)}; add that card or correct the id"
            )


def _resolve(content: Mapping[str, Any], ref: str) -> dict[str, Any]:
    """The definition that "#/$defs/…" points at."""
    definition: dict[str, Any] = content["$defs"][ref.rpartition("/")[2]]
    return definition
