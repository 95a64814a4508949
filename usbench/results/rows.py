"""A result's figures as rows of a table: one per protocol, class and score."""

from __future__ import annotations

from collections.abc import Iterator

from usbench.metrics.scores import Figures, TableRow
from usbench.results.result import Result

COLUMNS = [
    *("run_id", "dataset", "task", "model", "recipe", "seed", "fold", "trained_on", "precision"),
    *("origin", "status", "phantom", "protocol", "protocol_version", "class"),
    *("score", "value", "low", "high", "n", "groups", "reason"),
]
NUMBERS = ("value", "low", "high")  # columns of fractions, px or mm, as the score's name says


def figure_rows(result: Result) -> Iterator[TableRow]:
    """The rows of a result, the figures over all classes first.

    `class` is None for a figure over all classes; `reason` says why a value is None. A result
    that isn't done has one row without a score, whose `reason` says why.
    """
    names = ("run_id", "dataset", "task", "model", "recipe", "seed", "fold", "trained_on")
    facts: TableRow = {name: getattr(result, name) for name in (*names, "precision", "origin")}
    facts |= {"status": result.status, "phantom": result.data.phantom}
    if not result.protocols:
        yield {**facts, "reason": result.reason}
    for protocol in result.protocols:
        facts |= {"protocol": protocol.name, "protocol_version": protocol.version}
        tables: list[tuple[str | None, Figures]] = [(None, protocol.scores)]
        tables += protocol.per_class.items()
        for label, figures in tables:
            for name, figure in figures.items():
                yield {
                    **facts,
                    "class": label,
                    "score": name,
                    **{key: getattr(figure, key) for key in (*NUMBERS, "n", "groups", "reason")},
                }
