"""What every evaluation protocol states, and how protocols are found by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from usbench.errors import ConfigError


@dataclass(frozen=True)
class EvaluationProtocol:
    """How pairs of targets and predictions become a score."""

    name: str
    version: int
    description: str  # everything that matters to the score; stands in each result
    summary: str  # at most eight words, for menus


P = TypeVar("P", bound=EvaluationProtocol)


def lookup_protocols(
    names: Sequence[str], protocols: Mapping[str, P], aliases: Mapping[str, str]
) -> list[P]:
    """The protocols of these names or aliases, in order.

    Raises ConfigError for no name, an unknown one, and two of the same protocol.
    """
    full_names = [aliases.get(name, name) for name in names]
    if not names or len(set(full_names) & set(protocols)) < len(names):
        choices = ", ".join([*protocols, *aliases])
        raise ConfigError(
            f"metric.protocols: expected one or more different names of {choices}, "
            f"got {', '.join(map(repr, names)) or 'none'}"
        )
    return [protocols[name] for name in full_names]
