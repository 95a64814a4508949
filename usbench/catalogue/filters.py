"""Which cards a question is about: pure functions of cards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from usbench.catalogue.cards import Card, Kind, fields_of


@dataclass(frozen=True)
class Filter:
    """What is wanted; None: whatever it is. A card whose field is unknown isn't what is wanted."""

    anatomy: str | None = None
    task: str | None = None
    access: str | None = None
    licence: str | None = None
    runnable: bool = False  # only what usbench runs

    def holds(self, card: Card) -> bool:
        """Whether a card is what is wanted; of a list any entry will do."""
        if self.runnable and not card.runnable:
            return False
        wanted = {
            "anatomy": self.anatomy,
            "tasks": self.task,
            "access": self.access,
            "licence": self.licence,
        }
        return all(
            value is None or value in _entries(card, field) for field, value in wanted.items()
        )


def select(cards: Iterable[Card], wanted: Filter) -> list[Card]:
    """The cards that are wanted, in their order."""
    return [card for card in cards if wanted.holds(card)]


def words(field: str, kinds: Iterable[Kind] = ("dataset",)) -> list[str]:
    """The words that a field of cards can have, in the schema's order."""
    found: dict[str, None] = {}
    for kind in kinds:
        values = fields_of(kind)[field]
        found.update(dict.fromkeys(values.get("items", values)["enum"]))
    return list(found)


def _entries(card: Card, field: str) -> list[str]:
    """A field's value as a list; [] where it is unknown."""
    value = card.value(field)
    return value if isinstance(value, list) else [value]
