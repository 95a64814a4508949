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

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usbench.catalogue.cards import SHIPPED, Kind, fields_of, read_mapping
from usbench.errors import DataError
from usbench.io.files import JsonObject
from usbench.io.json_schema import Schema, describe_fault, find_fault, load_schema

TESTS = ("equals", "one_of", "at_least", "stated", "otherwise")


@dataclass(frozen=True)
class PointRule:
    """The points for a field's value that passes the test."""

    test: str  # one of TESTS
    value: Any  # what the test compares with
    points: float

    @property
    def accepted(self) -> Sequence[object]:
        """The values that pass an equals or a one_of."""
        if self.test == "one_of":
            return list(self.value)
        return [self.value] if self.test == "equals" else []


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
        fewest = min(rule.points for rule in self.rules)
        return fewest if self.rules[-1].test == "otherwise" else 0


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
    paths, shipped = (sorted((root / "rubrics").glob("*.yaml")) for root in (folder, SHIPPED))
    return {path.stem: _read_rubric(path) for path in paths or shipped}


def _read_rubric(path: Path) -> Rubric:
    raw = read_mapping(path)
    fault = find_fault(load_schema("usbench.catalogue", "rubric.schema.json"), raw)
    if fault is None:
        parts = {
            "tiers": tuple(Tier(tier["name"], tier["from"]) for tier in raw["tiers"]),
            "criteria": tuple(map(_make_criterion, raw["criteria"])),
        }
        rubric = Rubric(**{**raw, **parts}, path=path)
        fault = next(_find_faults(rubric), None)
    if fault is not None:
        raise DataError(f"{path}: {fault}; see rubric.schema.json")
    return rubric


def _make_criterion(raw: JsonObject) -> Criterion:
    rules = []
    for rule in raw["points"]:
        test = next(test for test in TESTS if test in rule)
        rules.append(PointRule(test, rule[test], rule["points"]))
    return Criterion(raw["name"], raw["description"], tuple(raw["fields"]), tuple(rules))


def _find_faults(rubric: Rubric) -> Iterator[str]:
    """What is wrong beyond the schema, a line each."""
    if rubric.name != rubric.path.stem:
        yield describe_fault(
            "name", f"expected the file's name, {rubric.path.stem}, got {rubric.name}"
        )
    schemas = fields_of(rubric.kind)
    names: set[str] = set()
    for n, criterion in enumerate(rubric.criteria):
        key = f"criteria[{n}]"
        if criterion.name in names:
            yield describe_fault(f"{key}.name", f"{criterion.name} is there twice")
        names.add(criterion.name)
        for k, field in enumerate(criterion.fields):
            if field in schemas:
                yield from _find_unfit_rules(criterion, f"{key}.points", field, schemas[field])
            else:
                yield describe_fault(
                    f"{key}.fields[{k}]",
                    f"a {rubric.kind} card has no field {field}; it has {', '.join(schemas)}",
                )
    if rubric.criteria:
        yield from _find_tier_faults(rubric.tiers)


def _find_unfit_rules(
    criterion: Criterion, key: str, field: str, value_schema: JsonObject
) -> Iterator[str]:
    """Rules that test what a field can't be, and rules behind the last that can hold."""
    entry_schema = Schema(value_schema.get("items", value_schema))  # of a list: of its entries
    countable = value_schema.get("type") in ("integer", "array")
    for n, rule in enumerate(criterion.rules):
        for value in rule.accepted:
            if not entry_schema.accepts(value):
                yield describe_fault(f"{key}[{n}]", f"{field} can't be {value}")
        if rule.test == "at_least" and not countable:
            yield describe_fault(f"{key}[{n}].at_least", f"{field} is no number and no list")
        if rule.test == "otherwise" and rule is not criterion.rules[-1]:
            yield describe_fault(
                f"{key}[{n}].otherwise", "expected the last rule: the next one can never hold"
            )


def _find_tier_faults(tiers: Sequence[Tier]) -> Iterator[str]:
    """Tiers that don't fall to 0 points."""
    previous = math.inf
    for n, tier in enumerate(tiers):
        key = f"tiers[{n}].from"
        if tier.start is None:
            yield describe_fault(key, "expected the fewest points of this tier, got null")
            return
        if tier.start >= previous:
            yield describe_fault(
                key, f"expected less than {previous}, got {tier.start}: the best tier is first"
            )
        previous = tier.start
    if previous != 0:
        yield describe_fault(key, f"expected 0 in the last tier, got {previous}")
