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


def lookup_protocol(name: str, protocols: Mapping[str, P], aliases: Mapping[str, str]) -> P:
    """The protocol of that name or alias; ConfigError where there is none."""
    name = aliases.get(name, name)
    if name not in protocols:
        names = ", ".join([*protocols, *aliases])
        raise ConfigError(f"metric.protocols: expected one of {names}, got {name!r}")
    return protocols[name]


def require_distinct(names: Sequence[str], protocols: Sequence[EvaluationProtocol]) -> None:
    """ConfigError where no protocol is named, or one of them twice (by an alias too).

    Args:
        names: as the user gave them.
        protocols: those that the names mean.
    """
    if not names or len({protocol.name for protocol in protocols}) < len(names):
        got = list(names)
        raise ConfigError(f"metric.protocols: expected one or more different names, got {got}")
