"""A result: what one run, or somebody's predictions, scored on one dataset and task.

`Result` is the JSON of result.schema.json as a value. Dictionaries exist only where JSON is read
(`Result.from_json`) and written (`Result.to_json`). Keys that this version doesn't know are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from usbench.io.files import JsonObject
from usbench.metrics.scores import Figure, Figures, ProtocolScores
from usbench.metrics.strata import Strata
from usbench.types import Task

SCHEMA = 2
Origin = Literal["run", "external", "human", "baseline"]
Status = Literal["done", "failed", "skipped"]


@dataclass(frozen=True)
class Primary:
    """The score that the leaderboard ranks by."""

    name: str
    value: float | None
    higher_is_better: bool


@dataclass(frozen=True)
class Validation:
    """The selection metric on validation: what an epoch, or a search, is chosen by."""

    name: str
    value: float | None


@dataclass(frozen=True)
class Leakage:
    """Test images that show what a training image shows."""

    n: int
    description: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class Data:
    """The data that a result was computed on."""

    fingerprint: str | None
    counts: Mapping[str, int]  # images by split
    phantom: bool
    leakage: Leakage | None = None
    splits: str | None = None  # how the split was made, for people
    # What else a reader must know, such as that the files are a copy and not the release.
    notes: tuple[str, ...] = field(default=(), metadata={"omit_empty": True})


@dataclass(frozen=True)
class PredictionsFile:
    """The stored test predictions that the scores were computed from."""

    file: str  # relative to the runs folder
    sha256: str
    n: int  # images


@dataclass(frozen=True)
class Tuned:
    """The search whose best values were taken."""

    study: str
    trials: int  # that came to an end
    failed: int
    value: float  # the best trial's selection metric on validation
    values: Mapping[str, object]  # searched key → chosen value
    seeds: tuple[int, ...]  # of the trials


@dataclass(frozen=True)
class Code:
    """The code that made a result."""

    version: str
    commit: str | None  # None outside a checkout
    dirty: bool | None


@dataclass(frozen=True)
class Machine:
    """Processor, GPU and package versions; no host or user name."""

    processor: str | None = None
    gpu: str | None = None
    cuda: str | None = None
    cudnn: str | None = None
    driver: str | None = None  # the newest CUDA version that the driver supports
    packages: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Latency:
    """Milliseconds from a native image to its prediction."""

    p50: float
    p95: float | None = None
    n: int | None = None  # images that were timed


@dataclass(frozen=True)
class Cost:
    """What predicting one image costs. The benchmark of models in the repository measures it."""

    macs: int  # multiply–adds
    latency_ms: Latency
    fps: float  # one image at a time
    device: str  # cpu or cuda
    on: str  # processor or GPU
    threads: int
    load: float | None = None  # share of the machine's cores that predicting keeps busy
    best_batch: int | None = None
    fps_best: float | None = None  # at the best batch
    peak_memory_mib: float | None = None  # of the process; on a GPU torch's
    precision: str | None = None
    image: tuple[int, int] | None = None  # height, width


@dataclass(frozen=True)
class Result:
    """One result. `protocols` holds the scores, the reporting protocol's first; () if it failed."""

    dataset: str
    task: Task
    model: str
    run_id: str
    status: Status
    origin: Origin
    data: Data
    code: Code
    machine: Machine
    config: JsonObject  # the resolved configuration as JSON, without paths
    fold: int | None = None  # None: the fixed split
    trained_on: str | None = None  # None: the same dataset
    recipe: str | None = None
    seed: int | None = None  # None: external, human or baseline
    series: str | None = None  # shared by results that differ in seed or precision alone
    fold_series: str | None = None  # shared by the folds of one run
    tuned: Tuned | None = None
    reason: str | None = None  # why it isn't done
    primary: Primary | None = None
    protocols: tuple[ProtocolScores, ...] = ()
    strata: tuple[Strata, ...] = ()  # the primary score by what the release says of the images
    validation: Validation | None = None
    predictions: PredictionsFile | None = None
    cases: str | None = None  # file name of the case table beside the result
    cases_sha256: str | None = None
    date: str | None = None  # UTC day, YYYY-MM-DD
    device: str | None = None
    precision: Literal["fp32", "bf16"] | None = None
    tf32: bool | None = None
    threads: int | None = None
    seconds: Mapping[str, float] | None = None  # by stage
    parameters: int | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)  # dotted field → why it is null
    cost: Cost | None = None
    scored_by: Code | None = None  # the code that scored it again; None: `code` did
    extra: JsonObject = field(default_factory=dict)  # keys that this version doesn't know

    @property
    def protocol(self) -> ProtocolScores:
        """The scores under the reporting protocol of a finished result."""
        return self.protocols[0]

    @property
    def scores(self) -> Figures:
        """The figures under the reporting protocol; {} where it isn't done."""
        return self.protocols[0].scores if self.protocols else {}

    @property
    def custom_scores(self) -> tuple[str, ...]:
        """The names of the scores that the user's metric adds."""
        extra = self.config.get("metric", {}).get("extra") or {}
        return tuple(name for name in extra if name in self.scores)

    @property
    def is_done(self) -> bool:
        """Whether it has scores."""
        return self.status == "done"

    def to_json(self) -> JsonObject:
        """The result as JSON's data."""
        content: JsonObject = {"schema": SCHEMA}
        for name, value in vars(self).items():
            if name not in MADE and (value is not None or name not in OPTIONAL):
                content[name] = to_json(value)
        if self.strata:
            content["strata"] = list(map(strata_to_json, self.strata))
        return {**content, **protocols_to_json(self.protocols), **self.extra}

    @classmethod
    def from_json(cls, content: JsonObject) -> Result:
        """A result from JSON's data that keeps the schema (see `schema.fault`)."""
        data = {"fingerprint": None, **content["data"]}
        data["counts"] = data.get("counts") or {}
        measured = content.get("seconds") or {}  # a stage may be null
        seconds = {stage: value for stage, value in measured.items() if value is not None}
        made = {
            "data": data,
            "seconds": seconds or None,
            "protocols": protocols_from_json(content),
            "strata": tuple(map(strata_from_json, content.get("strata") or ())),
            "extra": {name: value for name, value in content.items() if name not in KEYS},
        }
        return from_json(cls, {**content, **made})


MADE = ("protocols", "strata", "extra")  # fields whose JSON isn't that of their dataclasses
OPTIONAL = {  # left out of the JSON where they are None
    *("series", "fold_series", "tuned", "validation", "predictions", "cost", "scored_by"),
    *("device", "precision", "threads", "seconds", "parameters"),
}
KEYS = {"schema", "protocol", "scores", "per_class", "target_score"}  # of the JSON
KEYS |= {item.name for item in fields(Result)} - {"extra"}
Part = TypeVar("Part")


def to_json(value: object) -> Any:
    """A dataclass as JSON's data; tuples become lists."""
    if is_dataclass(value):
        return {
            item.name: to_json(part)
            for item in fields(value)
            if (part := getattr(value, item.name)) or not item.metadata.get("omit_empty")
        }
    return list(value) if isinstance(value, tuple) else value


def from_json(kind: Callable[..., Part], content: JsonObject) -> Part:
    """A dataclass from JSON's data: lists become tuples; keys that it doesn't have are left out."""
    values: dict[str, object] = {}
    for name, part_type in part_types(kind).items():
        if name in content:
            value = content[name]
            if part_type is not None and isinstance(value, dict):
                value = from_json(part_type, value)
            values[name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)


@cache
def part_types(kind: Callable[..., object]) -> Mapping[str, type | None]:
    """The fields of a dataclass: name → its type where that is a dataclass (or None), else None."""
    parts: dict[str, type | None] = {}
    for name, hint in get_type_hints(kind).items():
        types = [choice for choice in (hint, *get_args(hint)) if isinstance(choice, type)]
        parts[name] = next(filter(is_dataclass, types), None)
    return parts


# ---- scores


def figures_to_json(figures: Figures) -> JsonObject:
    """Scores by name, as the schema has them; what is known of `interval`, `reason` and others."""
    content: JsonObject = {}
    for name, figure in figures.items():
        content[name] = {
            "value": figure.value,
            "low": figure.low,
            "high": figure.high,
            "method": figure.method,
            "n": figure.n,
            "groups": figure.groups,
        }
        if figure.se is not None:
            content[name] |= {"se": figure.se, "df": figure.df}
        if figure.interval is not None:
            content[name]["interval"] = figure.interval
        if figure.higher_is_better is not None:
            content[name]["higher_is_better"] = figure.higher_is_better
        if figure.value is None:
            content[name]["reason"] = figure.reason or "undefined"
    return content


def figures_from_json(content: JsonObject) -> Figures:
    """Scores by name."""
    return {
        name: Figure(
            figure["value"],
            figure["n"],
            figure.get("reason"),
            figure["low"],
            figure["high"],
            figure.get("interval"),
            figure["method"],
            figure["groups"],
            figure.get("se"),
            figure.get("df"),
            figure.get("higher_is_better"),
        )
        for name, figure in content.items()
    }


def strata_to_json(strata: Strata) -> JsonObject:
    """One variable's strata."""
    return {**vars(strata), "levels": figures_to_json(dict(strata.levels))}


def strata_from_json(content: JsonObject) -> Strata:
    """One variable's strata; keys that this version doesn't know are left out."""
    known = {item.name: content[item.name] for item in fields(Strata) if item.name in content}
    return Strata(**{**known, "levels": figures_from_json(content["levels"])})


def tables_to_json(scores: ProtocolScores) -> JsonObject:
    """What a protocol gave: the target's own scores, ours, and ours by class."""
    return {
        "target_score": figures_to_json(scores.target_score),
        "scores": figures_to_json(scores.scores),
        "per_class": {label: figures_to_json(part) for label, part in scores.per_class.items()},
    }


def protocols_to_json(protocols: tuple[ProtocolScores, ...]) -> JsonObject:
    """The reporting protocol's scores at the top level, the others' below `protocols`."""
    if not protocols:
        return {}
    first, *others = protocols
    return {
        "protocol": {
            "name": first.name,
            "version": first.version,
            "description": first.description,
        },
        **tables_to_json(first),
        "protocols": {
            other.name: {
                "version": other.version,
                "description": other.description,
                **tables_to_json(other),
            }
            for other in others
        },
    }


def protocols_from_json(content: JsonObject) -> tuple[ProtocolScores, ...]:
    """All protocols of a result, the reporting one first; () where it has none."""
    first = content.get("protocol")
    if first is None or "scores" not in content:
        return ()
    others = (content.get("protocols") or {}).items()
    protocols = []
    for name, part in ((first["name"], {**content, **first}), *others):
        per_class = {label: figures_from_json(table) for label, table in part["per_class"].items()}
        protocols.append(
            ProtocolScores(
                name,
                part["version"],
                part["description"],
                figures_from_json(part["scores"]),
                per_class,
                figures_from_json(part.get("target_score") or {}),
            )
        )
    return tuple(protocols)
