"""Which measurements a dataset declares: a name, a kind, what it is of, and a clinical tolerance."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from usbench.errors import ConfigError, did_you_mean
from usbench.metrics.measures.ellipse import Ellipse
from usbench.metrics.measures.regions import Region
from usbench.types import Task

Dimension = Literal["length", "area", "angle"]
UNITS: Mapping[Dimension, tuple[str, str]] = {  # where the pixels' size is unknown, and known
    "length": ("px", "mm"),
    "area": ("px2", "mm2"),
    "angle": ("deg", "deg"),
}
PERCENT = "pct"  # unit of a tolerance that is a share of the true value
NAME = re.compile(r"[A-Za-z][A-Za-z0-9 _./-]*")
KEYS = ("kind", "of", "tolerance")
Places = Sequence[NDArray[np.float64]]  # (2,) x, y each, in mm or px


@dataclass(frozen=True)
class Kind:
    """A kind of measurement."""

    task: Task
    dimension: Dimension
    names: int  # of classes or points that it is of
    description: str
    of_region: Callable[[Region], float | None] | None = None
    of_points: Callable[[Places], float] | None = None


@dataclass(frozen=True)
class Tolerance:
    """What a clinic takes for the same value."""

    value: float
    unit: str  # pct, or a unit of the measurement
    source: str


@dataclass(frozen=True)
class Measure:
    """One declared measurement."""

    name: str
    kind: Kind
    of: tuple[str, ...]  # a class, or points
    tolerance: Tolerance | None = None

    def describe(self) -> str:
        """What it is, for people."""
        text = f"{self.name}: {self.kind.description.format(', '.join(self.of))}"
        if self.tolerance is None:
            return text
        unit = {PERCENT: "%", "deg": "°"}.get(self.tolerance.unit, self.tolerance.unit)
        return f"{text}, tolerance ±{self.tolerance.value:g} {unit} ({self.tolerance.source})"


def distance(places: Places) -> float:
    """Between two places."""
    return float(np.hypot(*(places[0] - places[1])))


def angle(places: Places) -> float:
    """At the second of three places, between the first and the third, in degrees 0 … 180."""
    first, last = places[0] - places[1], places[2] - places[1]
    cross = first[0] * last[1] - first[1] * last[0]
    return math.degrees(math.atan2(abs(cross), float(first @ last)))


def of_ellipse(get: Callable[[Ellipse], float]) -> Callable[[Region], float | None]:
    """A measurement of a region's ellipse; None where it has none."""
    return lambda region: get(region.ellipse) if region.ellipse else None


def of_mask(
    dimension: Dimension, description: str, measure: Callable[[Region], float | None]
) -> Kind:
    """A kind of measurement of one class."""
    return Kind("segment", dimension, 1, description, of_region=measure)


KINDS: Mapping[str, Kind] = {
    "circumference": of_mask(
        "length",
        "circumference of the ellipse fitted to {}",
        of_ellipse(lambda ellipse: ellipse.circumference),
    ),
    "major_axis": of_mask(
        "length", "long axis of the ellipse fitted to {}", of_ellipse(lambda ellipse: ellipse.major)
    ),
    "minor_axis": of_mask(
        "length",
        "short axis of the ellipse fitted to {}",
        of_ellipse(lambda ellipse: ellipse.minor),
    ),
    "area": of_mask("area", "area of {}", lambda region: region.area),
    "longest_diameter": of_mask(
        "length",
        "longest diameter of {}",
        lambda region: region.diameters and region.diameters.longest,
    ),
    "perpendicular_diameter": of_mask(
        "length",
        "longest chord of {} across its longest diameter",
        lambda region: region.diameters and region.diameters.perpendicular,
    ),
    "thickness": of_mask(
        "length",
        "mean thickness of {} across its midline",
        lambda region: region.thickness and region.thickness.mean,
    ),
    "greatest_thickness": of_mask(
        "length",
        "greatest thickness of {} across its midline",
        lambda region: region.thickness and region.thickness.greatest,
    ),
    "length": Kind("landmark", "length", 2, "distance between {}", of_points=distance),
    "angle": Kind("landmark", "angle", 3, "angle at the second of {}", of_points=angle),
}


def read_measures(node: Mapping[str, object] | None, task: Task) -> tuple[Measure, ...]:
    """The measurements of a configuration: name → {kind, of, tolerance}.

    Raises:
        ConfigError: a name, key, kind or tolerance isn't usable.
    """
    return tuple(read_measure(str(name), value, task) for name, value in (node or {}).items())


def read_measure(name: str, node: object, task: Task) -> Measure:
    """One measurement; see `read_measures`."""
    where = f"metric.measures.{name}"
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"{where}: expected a name of letters, digits, spaces and _ . / -, a letter first"
        )
    if not isinstance(node, Mapping):
        raise ConfigError(f"{where}: expected {{kind: …, of: …}}, got {node!r}")
    refuse_unknown(node, KEYS, where)
    kinds = {word: kind for word, kind in KINDS.items() if kind.task == task}
    word = str(node.get("kind"))
    if word not in kinds:
        hint = did_you_mean(word, kinds, "'{}'") or f"; expected {', '.join(kinds)}"
        raise ConfigError(f"{where}.kind: unknown kind {word!r} for {task}{hint}")
    kind, of = kinds[word], node.get("of")
    names = (of,) if isinstance(of, str) else tuple(of) if isinstance(of, (list, tuple)) else ()
    if len(set(names)) != kind.names or not all(isinstance(part, str) for part in names):
        what = "a class" if task == "segment" else f"{kind.names} different points"
        raise ConfigError(f"{where}.of: expected {what}, got {of!r}")
    tolerance = node.get("tolerance")
    return Measure(
        name,
        kind,
        names,
        None if tolerance is None else read_tolerance(tolerance, kind, f"{where}.tolerance"),
    )


def read_tolerance(node: object, kind: Kind, where: str) -> Tolerance:
    """A tolerance: {unit: number, source: text}."""
    units = (PERCENT, *dict.fromkeys(UNITS[kind.dimension]))
    if kind.dimension == "angle":  # a share of an angle means nothing
        units = units[1:]
    expected = f"{where}: expected {{{' or '.join(units)}: number, source: text}}"
    if not isinstance(node, Mapping):
        raise ConfigError(f"{expected}, got {node!r}")
    refuse_unknown(node, (*units, "source"), where)
    given = [unit for unit in units if unit in node]
    value, source = node.get(given[0]) if len(given) == 1 else None, node.get("source")
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 < float(str(value)) < math.inf or not isinstance(source, str):
        raise ConfigError(f"{expected}, got {dict(node)}")
    return Tolerance(float(str(value)), given[0], source)


def refuse_unknown(node: Mapping[str, object], known: Sequence[str], where: str) -> None:
    """Raise ConfigError for a key that isn't known."""
    for key in node:
        if key not in known:
            hint = did_you_mean(str(key), known, "'{}'") or f"; expected {', '.join(known)}"
            raise ConfigError(f"{where}: unknown key {key!r}{hint}")
