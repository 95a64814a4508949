"""Kinds of values that a key of a recipe may have. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class ValueKind(Protocol):
    """What values a key may have; `str(kind)` says it in words."""

    def accepts(self, value: object) -> bool:
        """Whether a value, never null, is one of them."""
        ...


@dataclass(frozen=True)
class Number:
    """A finite number in a range."""

    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf  # which the number itself must not be
    whole: bool = False
    multiple: int = 1

    def accepts(self, value: object) -> bool:
        """See ValueKind. True and false are no numbers."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            return False
        in_range = self.low <= value <= self.high and self.above < value
        return in_range and math.isfinite(value) and not (self.whole and value % self.multiple)

    def __str__(self) -> str:
        name = "a whole number" if self.whole else "a number"
        if self.multiple > 1:
            name = f"a multiple of {self.multiple}"
            if self.low == self.multiple:
                return name
        if self.above > -math.inf:
            name += f" above {self.above:g}"
        if self.low > -math.inf and self.high < math.inf:
            return f"{name} from {self.low:g} to {self.high:g}"
        return f"{name} of {self.low:g} or more" if self.low > -math.inf else name


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def accepts(self, value: object) -> bool:
        """See ValueKind."""
        return isinstance(value, bool)

    def __str__(self) -> str:
        return "true or false"


@dataclass(frozen=True)
class Text:
    """Text that isn't empty."""

    def accepts(self, value: object) -> bool:
        """See ValueKind."""
        return isinstance(value, str) and bool(value.strip())

    def __str__(self) -> str:
        return "text"


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    def accepts(self, value: object) -> bool:
        """See ValueKind."""
        return value in self.words

    def __str__(self) -> str:
        return f"one of {', '.join(self.words)}"


@dataclass(frozen=True)
class ListOf:
    """A list whose items are all of one kind."""

    item: ValueKind
    length: int | None = None  # None: any
    shortest: int = 1

    def accepts(self, value: object) -> bool:
        """See ValueKind."""
        if not isinstance(value, (list, tuple)) or len(value) < self.shortest:
            return False
        return self.length in (None, len(value)) and all(map(self.item.accepts, value))

    def __str__(self) -> str:
        count = f"{self.length}" if self.length else f"{self.shortest} or more"
        return f"a list of {count}, each {self.item}"


@dataclass(frozen=True)
class OneOf:
    """Any of several kinds."""

    kinds: tuple[ValueKind, ...]

    def accepts(self, value: object) -> bool:
        """See ValueKind."""
        return any(kind.accepts(value) for kind in self.kinds)

    def __str__(self) -> str:
        return ", or ".join(map(str, self.kinds))


@dataclass(frozen=True)
class AnyMapping:
    """Keys and values that only a library knows."""

    def accepts(self, value: object) -> bool:
        """See ValueKind."""
        return isinstance(value, Mapping)

    def __str__(self) -> str:
        return "keys with values"


@dataclass(frozen=True)
class Anything:
    """Any value: where a YAML spells out null alone."""

    def accepts(self, value: object) -> bool:
        """See ValueKind."""
        return True

    def __str__(self) -> str:
        return "any value"


COUNT = Number(low=1, whole=True)
SHARE = Number(low=0, high=1)
POSITIVE = Number(above=0)
NOT_NEGATIVE = Number(low=0)
