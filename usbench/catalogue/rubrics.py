"""A rubric as a file: criteria, the points that follow from a card's fields, and tiers; rubrics/*.yaml.

    criteria:
      - name: access
        words: Can everyone get the data today?
        fields: [access]                     # of several the best counts
        points:                              # the first that holds; 0 where none does
          - {equals: open, points: 15}
          - {one_of: [registration], points: 10}
    tiers: [{name: A, from: 80}, …]          # the best first

It knows which fields a card can have, no card.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usbench.catalogue.cards import SHIPPED, Kind, accepts, fault, fields_of, read_yaml
from usbench.errors import DataError

Fault = tuple[str, str]  # (key, what is wrong)
TESTS = ("equals", "one_of", "at_least", "stated", "otherwise")


@dataclass(frozen=True)
class Rule:
    """What a field's value is worth, if the test holds."""

    test: str  # one of TESTS
    wanted: Any
    points: float


@dataclass(frozen=True)
class Criterion:
    """One line of the sheet."""

    name: str
    words: str
    fields: tuple[str, ...]
    rules: tuple[Rule, ...]

    @property
    def of(self) -> float:
        """The most points that can be had."""
        return max(rule.points for rule in self.rules)

    @property
    def least(self) -> float:
        """The fewest: 0 where no rule needs to hold."""
        worths = [rule.points for rule in self.rules]
        return min(worths) if self.rules[-1].test == "otherwise" else 0


@dataclass(frozen=True)
class Tier:
    """A class of scores, from so many points on."""

    name: str
    start: float | None  # None only while the sheet is missing


@dataclass(frozen=True)
class Rubric:
    """A sheet of criteria."""

    name: str
    kind: Kind
    title: str
    words: str
    source: str
    tiers: tuple[Tier, ...]  # the best first
    criteria: tuple[Criterion, ...]  # (): the sheet is missing
    path: Path

    @property
    def of(self) -> float:
        """The most points that can be had."""
        return sum(criterion.of for criterion in self.criteria)


def load(folder: Path = SHIPPED) -> dict[str, Rubric]:
    """{name: rubric} of a folder's rubrics/*.yaml, by name; the shipped ones where it has none.

    Raises DataError, naming file and key, for a rubric that breaks rubric.schema.json, names a field that a card can't
    have or a value that the field can't have, or whose tiers don't fall.
    """
    own = sorted((folder / "rubrics").glob("*.yaml"))
    return {path.stem: read(path) for path in own or sorted((SHIPPED / "rubrics").glob("*.yaml"))}


def read(path: Path) -> Rubric:
    """One rubric; DataError as `load`."""
    raw = read_yaml(path)
    wrong = fault(raw, "rubric") or next(_faults(raw, path.stem), None)
    if wrong is not None:
        raise DataError(f"{path}: {wrong[0] or '(top level)'}: {wrong[1]}; see rubric.schema.json")
    criteria = [
        Criterion(one["name"], one["words"], tuple(one["fields"]), _rules(one))
        for one in raw["criteria"]
    ]
    tiers = tuple(Tier(one["name"], one["from"]) for one in raw["tiers"])
    about = {part: raw[part] for part in ("name", "kind", "title", "words", "source")}
    return Rubric(**about, tiers=tiers, criteria=tuple(criteria), path=path)


def _rules(criterion: Mapping[str, Any]) -> tuple[Rule, ...]:
    """The rules of a criterion as YAML has it."""
    named = [(next(test for test in TESTS if test in rule), rule) for rule in criterion["points"]]
    return tuple(Rule(test, rule[test], rule["points"]) for test, rule in named)


def _faults(raw: Mapping[str, Any], stem: str) -> Iterator[Fault]:
    """(key, what is wrong) beyond the schema."""
    if raw["name"] != stem:
        yield "name", f"the file's name, {stem}, was wanted, found {raw['name']}"
    known = fields_of(raw["kind"])
    names: set[str] = set()
    for n, criterion in enumerate(raw["criteria"]):
        where = f"criteria[{n}]"
        if criterion["name"] in names:
            yield f"{where}.name", f"{criterion['name']} is there twice"
        names.add(criterion["name"])
        for k, field in enumerate(criterion["fields"]):
            if field not in known:
                wanted = ", ".join(known)
                yield (
                    f"{where}.fields[{k}]",
                    f"a {raw['kind']} card has no field {field}; it has {wanted}",
                )
            else:
                yield from _unfit(criterion["points"], f"{where}.points", field, known[field])
    yield from _tiers(raw["tiers"], bool(raw["criteria"]))


def _unfit(
    rules: Sequence[Mapping[str, Any]], where: str, field: str, values: Mapping[str, Any]
) -> Iterator[Fault]:
    """Rules that ask for what a field can't be, and rules behind the last that can hold."""
    entries = values.get("items", values)  # of a list
    for n, rule in enumerate(rules):
        for wanted in [rule[test] for test in ("equals",) if test in rule] + list(
            rule.get("one_of", ())
        ):
            if not accepts(entries, wanted):
                yield f"{where}[{n}]", f"{field} can't be {wanted}"
        if "at_least" in rule and values.get("type") not in ("integer", "array"):
            yield f"{where}[{n}].at_least", f"{field} is no number and no list"
        if "otherwise" in rule and n + 1 < len(rules):
            yield f"{where}[{n}].otherwise", "this must be the last rule: the next can never hold"


def _tiers(tiers: Sequence[Mapping[str, Any]], filled: bool) -> Iterator[Fault]:
    """Tiers that don't fall to 0 points."""
    starts = [tier["from"] for tier in tiers]
    if not filled:
        return
    for n, start in enumerate(starts):
        if start is None:
            yield f"tiers[{n}].from", "the fewest points of this tier were wanted, found null"
            return
    for n in range(1, len(starts)):
        if starts[n] >= starts[n - 1]:
            yield (
                f"tiers[{n}].from",
                f"less than {starts[n - 1]} was wanted, found {starts[n]}: the best tier is first",
            )
    if starts[-1] != 0:
        yield f"tiers[{len(starts) - 1}].from", f"0 was wanted in the last tier, found {starts[-1]}"
