"""A result: what one run, or somebody's predictions, scored on one dataset and task.

`Result` is the JSON of result.schema.json as a value. Dictionaries exist only where JSON is read
(`Result.from_json`) and written (`Result.to_json`). Keys that this version doesn't know are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from usbench.metrics.scores import Figure, Figures, ProtocolScores
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
    values: Mapping[str, Any]  # searched key → chosen value
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
    """What predicting one image costs, as scripts/bench_models.py measures it."""

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
    config: Mapping[str, Any]  # the resolved configuration as JSON, without paths
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
    extra: Mapping[str, Any] = field(default_factory=dict)  # keys that this version doesn't know

    @property
    def protocol(self) -> ProtocolScores:
        """The scores under the reporting protocol of a finished result."""
        return self.protocols[0]

    @property
    def scores(self) -> Figures:
        """The figures under the reporting protocol; {} where it isn't done."""
        return self.protocols[0].scores if self.protocols else {}

    @property
    def is_done(self) -> bool:
        """Whether it has scores."""
        return self.status == "done"

    def to_json(self) -> dict[str, Any]:
        """The result as JSON's data, in the order of the schema."""
        content: dict[str, Any] = {"schema": SCHEMA}
        for name in (*PLAIN, *PARTS, "cost", "data"):
            value = plain(getattr(self, name))
            if value is not None or name not in OPTIONAL:
                content[name] = value
        content |= protocols_to_json(self.protocols)
        return {**content, **self.extra}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Result:
        """A result from JSON's data that keeps the schema (see `schema.fault`)."""
        known = {name: content[name] for name in PLAIN if name in content}
        for name, kind in PARTS.items():
            if content.get(name) is not None:
                known[name] = build(kind, content[name])
        if content.get("cost") is not None:
            known["cost"] = cost_from_json(content["cost"])
        known["data"] = data_from_json(content["data"])
        known["protocols"] = protocols_from_json(content)
        extra = {name: value for name, value in content.items() if name not in KEYS}
        return cls(**known, extra=extra)


PARTS: Mapping[str, type] = {
    "primary": Primary,
    "validation": Validation,
    "predictions": PredictionsFile,
    "tuned": Tuned,
    "code": Code,
    "machine": Machine,
    "scored_by": Code,
}
BUILT = {*PARTS, "cost", "data", "protocols", "extra"}  # fields that need more than a copy
PLAIN = tuple(item.name for item in fields(Result) if item.name not in BUILT)
OPTIONAL = {  # left out of the JSON where they are None
    *("series", "fold_series", "tuned", "validation", "predictions", "cost", "scored_by"),
    *("device", "precision", "threads", "seconds", "parameters"),
}
SCORES = {"protocol", "scores", "per_class", "target_score", "protocols"}
KEYS = {"schema", "data", "cost", *SCORES, *PLAIN, *PARTS}


def plain(value: Any) -> Any:
    """A dataclass as JSON's data; tuples become lists."""
    if value is None or not hasattr(value, "__dataclass_fields__"):
        return list(value) if isinstance(value, tuple) else value
    return {item.name: plain(getattr(value, item.name)) for item in fields(value)}


def build(kind: type, content: Mapping[str, Any]) -> Any:
    """A dataclass from JSON's data; keys that it doesn't have are left out."""
    known = {item.name for item in fields(kind)}
    values = {name: value for name, value in content.items() if name in known}
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def data_from_json(content: Mapping[str, Any]) -> Data:
    """The data of a result."""
    leakage = content.get("leakage")
    return Data(
        fingerprint=content.get("fingerprint"),
        counts=content.get("counts") or {},
        phantom=content["phantom"],
        leakage=build(Leakage, leakage) if leakage else None,
        splits=content.get("splits"),
    )


def cost_from_json(content: Mapping[str, Any]) -> Cost:
    """What a prediction of a result's model costs."""
    cost: Cost = build(Cost, {**content, "latency_ms": build(Latency, content["latency_ms"])})
    return cost


# ---- scores


def figure_to_json(figure: Figure) -> dict[str, Any]:
    """A figure as the schema has it; `interval` and `reason` only where there is one."""
    content: dict[str, Any] = {
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "method": figure.method,
        "n": figure.n,
        "groups": figure.groups,
    }
    if figure.interval is not None:
        content["interval"] = figure.interval
    if figure.value is None:
        content["reason"] = figure.reason or "undefined"
    return content


def figures_to_json(figures: Figures) -> dict[str, Any]:
    """Scores by name."""
    return {name: figure_to_json(figure) for name, figure in figures.items()}


def figures_from_json(content: Mapping[str, Any]) -> Figures:
    """Scores by name."""
    return {name: figure_from_json(figure) for name, figure in content.items()}


def figure_from_json(content: Mapping[str, Any]) -> Figure:
    """One figure."""
    return Figure(
        content["value"],
        content["n"],
        content.get("reason"),
        content["low"],
        content["high"],
        content.get("interval"),
        content["method"],
        content["groups"],
    )


def tables_to_json(scores: ProtocolScores) -> dict[str, Any]:
    """What a protocol gave: the target's own scores, ours, and ours by class."""
    return {
        "target_score": figures_to_json(scores.target_score),
        "scores": figures_to_json(scores.scores),
        "per_class": {label: figures_to_json(part) for label, part in scores.per_class.items()},
    }


def protocols_to_json(protocols: tuple[ProtocolScores, ...]) -> dict[str, Any]:
    """The reporting protocol's scores at the top level, the others' below `protocols`."""
    if not protocols:
        return {}
    first, *others = protocols
    named = {"name": first.name, "version": first.version, "description": first.description}
    below = {
        other.name: {
            "version": other.version,
            "description": other.description,
            **tables_to_json(other),
        }
        for other in others
    }
    return {"protocol": named, **tables_to_json(first), "protocols": below}


def protocol_from_json(name: str, content: Mapping[str, Any]) -> ProtocolScores:
    """The scores under one protocol. content: `version`, `description` and the tables."""
    return ProtocolScores(
        name,
        content["version"],
        content["description"],
        figures_from_json(content["scores"]),
        {label: figures_from_json(part) for label, part in content["per_class"].items()},
        figures_from_json(content.get("target_score") or {}),
    )


def protocols_from_json(content: Mapping[str, Any]) -> tuple[ProtocolScores, ...]:
    """All protocols of a result, the reporting one first; () where it has none."""
    first = content.get("protocol")
    if first is None or "scores" not in content:
        return ()
    others = (content.get("protocols") or {}).items()
    return (
        protocol_from_json(first["name"], {**content, **first}),
        *(protocol_from_json(name, other) for name, other in others),
    )
