"""A rubric as a file: criteria, the points that follow from a card's fields, and tiers.

    criteria:
      - name: access
        description: Can everyone get the data today?
        fields: [access]                     # of several the best counts
        points:                              # the first rule that holds; 0 where none does
          - {equals: open, points: 15}
          - {one_of: [registration], points: 10}
    tiers: [{name: A, from: 80}, …]          # the best first

The files are rubrics/*.yaml. This module knows which fields a card can have, no card.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usbench.catalogue.cards import SHIPPED, Kind, fields_of, read_yaml
from usbench.errors import DataError
from usbench.io.json_schema import Schema, describe_fault, find_fault, load_schema

TESTS = ("equals", "one_of", "at_least", "stated", "otherwise")


@dataclass(frozen=True)
class PointRule:
    """The points for a field's value that passes the test."""

    test: str  # one of TESTS
    value: Any  # what the test compares with
    points: float


@dataclass(frozen=True)
class Criterion:
    """One line of a rubric."""

    name: str
    description: str
    fields: tuple[str, ...]
    rules: tuple[PointRule, ...]

    @property
    def maximum(self) -> float:
        """The most points that can be had."""
        return max(rule.points for rule in self.rules)

    @property
    def minimum(self) -> float:
        """The fewest points: 0 where no rule needs to hold."""
        if self.rules[-1].test != "otherwise":
            return 0
        return min(rule.points for rule in self.rules)


@dataclass(frozen=True)
class Tier:
    """A class of scores."""

    name: str
    start: float | None  # its fewest points; None only while the criteria are missing


@dataclass(frozen=True)
class Rubric:
    """A list of criteria, and the tiers of their total."""

    name: str
    kind: Kind
    title: str
    description: str
    source: str
    tiers: tuple[Tier, ...]  # the best first
    criteria: tuple[Criterion, ...]  # (): missing
    path: Path

    @property
    def maximum(self) -> float:
        """The most points that can be had."""
        return sum(criterion.maximum for criterion in self.criteria)


def load_rubrics(folder: Path = SHIPPED) -> dict[str, Rubric]:
    """Load {name: rubric} of a folder's rubrics/*.yaml; the shipped ones where it has none.

    Raises:
        DataError: names file and key of a rubric that breaks rubric.schema.json, names a field
            that a card can't have or a value that the field can't have, or whose tiers don't fall.
    """
    paths = sorted((folder / "rubrics").glob("*.yaml"))
    paths = paths or sorted((SHIPPED / "rubrics").glob("*.yaml"))
    return {path.stem: read_rubric(path) for path in paths}


def read_rubric(path: Path) -> Rubric:
    """Read one rubric; raises as `load_rubrics`."""
    raw = read_yaml(path)
    fault = find_fault(load_schema("usbench.catalogue", "rubric.schema.json"), raw)
    fault = fault or next(_find_faults(raw, path.stem), None)
    if fault is not None:
        raise DataError(f"{path}: {fault}; see rubric.schema.json")
    return Rubric(
        name=raw["name"],
        kind=raw["kind"],
        title=raw["title"],
        description=raw["description"],
        source=raw["source"],
        tiers=tuple(Tier(tier["name"], tier["from"]) for tier in raw["tiers"]),
        criteria=tuple(_make_criterion(criterion) for criterion in raw["criteria"]),
        path=path,
    )


def _make_criterion(raw: Mapping[str, Any]) -> Criterion:
    """A criterion from valid YAML."""
    rules = []
    for rule in raw["points"]:
        test = next(test for test in TESTS if test in rule)
        rules.append(PointRule(test, rule[test], rule["points"]))
    return Criterion(raw["name"], raw["description"], tuple(raw["fields"]), tuple(rules))


def _find_faults(raw: Mapping[str, Any], stem: str) -> Iterator[str]:
    """What is wrong beyond the schema, a line each."""
    if raw["name"] != stem:
        yield describe_fault("name", f"expected the file's name, {stem}, got {raw['name']}")
    fields = fields_of(raw["kind"])
    names: set[str] = set()
    for n, criterion in enumerate(raw["criteria"]):
        key = f"criteria[{n}]"
        if criterion["name"] in names:
            yield describe_fault(f"{key}.name", f"{criterion['name']} is there twice")
        names.add(criterion["name"])
        for k, field in enumerate(criterion["fields"]):
            if field in fields:
                yield from _find_unfit_rules(
                    criterion["points"], f"{key}.points", field, fields[field]
                )
            else:
                unknown = f"a {raw['kind']} card has no field {field}; it has {', '.join(fields)}"
                yield describe_fault(f"{key}.fields[{k}]", unknown)
    if raw["criteria"]:
        yield from _find_tier_faults([tier["from"] for tier in raw["tiers"]])


def _find_unfit_rules(
    rules: Sequence[Mapping[str, Any]], key: str, field: str, value_schema: Mapping[str, Any]
) -> Iterator[str]:
    """Rules that test what a field can't be, and rules behind the last that can hold."""
    entry_schema = Schema(value_schema.get("items", value_schema))  # of a list: of its entries
    countable = value_schema.get("type") in ("integer", "array")
    for n, rule in enumerate(rules):
        values = list(rule.get("one_of", ()))
        if "equals" in rule:
            values.append(rule["equals"])
        for value in values:
            if not entry_schema.accepts(value):
                yield describe_fault(f"{key}[{n}]", f"{field} can't be {value}")
        if "at_least" in rule and not countable:
            yield describe_fault(f"{key}[{n}].at_least", f"{field} is no number and no list")
        if "otherwise" in rule and n + 1 < len(rules):
            last = "expected the last rule: the next one can never hold"
            yield describe_fault(f"{key}[{n}].otherwise", last)


def _find_tier_faults(starts: Sequence[float | None]) -> Iterator[str]:
    """Tiers that don't fall to 0 points. starts: the fewest points of each, the best tier first."""
    previous: float | None = None
    for n, start in enumerate(starts):
        key = f"tiers[{n}].from"
        if start is None:
            yield describe_fault(key, "expected the fewest points of this tier, got null")
            return
        if previous is not None and start >= previous:
            falling = f"expected less than {previous}, got {start}: the best tier is first"
            yield describe_fault(key, falling)
        previous = start
    if previous != 0:
        key = f"tiers[{len(starts) - 1}].from"
        yield describe_fault(key, f"expected 0 in the last tier, got {previous}")
