"""Which cards are asked for: pure functions of cards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from usbench.catalogue.cards import Card, Kind, fields_of


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
        if self.runnable and not card.runnable:
            return False
        for field, expected in (
            ("anatomy", self.anatomy),
            ("tasks", self.task),
            ("access", self.access),
            ("licence", self.licence),
        ):
            value = card.value(field)
            stated = value if isinstance(value, list) else [value]
            if expected is not None and expected not in stated:
                return False
        return True


def select_cards(cards: Iterable[Card], wanted: Filter) -> list[Card]:
    """The cards that match, in their order."""
    return [card for card in cards if wanted.matches(card)]


def allowed_values(field: str, kinds: Iterable[Kind] = ("dataset",)) -> list[str]:
    """The values that a field of cards can have, in the schema's order."""
    values: dict[str, None] = {}
    for kind in kinds:
        schema = fields_of(kind)[field]
        values.update(dict.fromkeys(schema.get("items", schema)["enum"]))
    return list(values)
