"""The one builder of results: what is known of a run or comparison, and its scores → a Result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from usbench.datasets.config import ViewConfig
from usbench.errors import ConfigError
from usbench.metrics.scores import Figures, ProtocolScores, Scores
from usbench.results.result import (
    Code,
    Data,
    Machine,
    Origin,
    PredictionsFile,
    Primary,
    Result,
    Tuned,
    Validation,
)
from usbench.results.store import lower_is_better
from usbench.types import Task


@dataclass(frozen=True)
class Provenance:
    """The code and the machine that made a result, and when."""

    code: Code
    machine: Machine
    date: str  # UTC day, YYYY-MM-DD
    tf32: bool | None = None  # None on a CPU
    reasons: Mapping[str, str] = field(default_factory=dict)  # dotted field → why it is null


@dataclass(frozen=True)
class ResultFacts:
    """What is known of a result before anything is scored; see `Result` for the fields."""

    dataset: str
    task: Task
    model: str
    run_id: str
    origin: Origin
    data: Data
    config: Mapping[str, Any]  # JSON
    provenance: Provenance
    fold: int | None = None
    trained_on: str | None = None
    recipe: str | None = None
    seed: int | None = None
    series: str | None = None
    fold_series: str | None = None
    tuned: Tuned | None = None
    device: str | None = None
    precision: Literal["fp32", "bf16"] | None = None
    threads: int | None = None


@dataclass(frozen=True)
class ReportedScores:
    """The scores as a result holds them, and the one that it is ranked by."""

    protocols: tuple[ProtocolScores, ...]
    primary: Primary


def report_scores(
    scores: Scores, primary: str, groups: int, description: str | None = None
) -> ReportedScores:
    """Prepare scores for a result.

    Args:
        scores: from a scorer.
        primary: the name of the score to rank by.
        groups: of the test set; every figure states it.
        description: of the reporting protocol; None: as the scorer describes it.

    Raises:
        ConfigError: the reporting protocol has no score named `primary`.
    """
    protocols = [with_groups(protocol, groups) for protocol in scores.protocols]
    if description is not None:
        protocols[0] = replace(protocols[0], description=description)
    figures = protocols[0].scores
    if primary not in figures:
        raise ConfigError(f"metric.primary={primary}: expected one of {', '.join(figures)}")
    higher_is_better = not lower_is_better(primary)
    return ReportedScores(
        tuple(protocols), Primary(primary, figures[primary].value, higher_is_better)
    )


def with_groups(protocol: ProtocolScores, groups: int) -> ProtocolScores:
    """The protocol's scores, each with the number of groups in the test set."""

    def stated(figures: Figures) -> Figures:
        return {name: replace(figure, groups=groups) for name, figure in figures.items()}

    return replace(
        protocol,
        scores=stated(protocol.scores),
        per_class={label: stated(part) for label, part in protocol.per_class.items()},
        target_score=stated(protocol.target_score),
    )


def build_result(
    facts: ResultFacts,
    scores: ReportedScores | None,
    reason: str | None = None,
    *,
    validation: Validation | None = None,
    predictions: PredictionsFile | None = None,
    seconds: Mapping[str, float] | None = None,
    parameters: int | None = None,
) -> Result:
    """Build a result: done where there are scores, failed for a `reason` where there are none."""
    known = dict(vars(facts))
    provenance: Provenance = known.pop("provenance")
    return Result(
        **known,
        **vars(provenance),
        status="failed" if scores is None else "done",
        reason=reason,
        primary=scores.primary if scores else None,
        protocols=scores.protocols if scores else (),
        validation=validation,
        predictions=predictions,
        seconds=seconds,
        parameters=parameters,
    )


def describe_protocol(
    description: str, task: Task, view: ViewConfig, notes: Sequence[str | None] = ()
) -> str:
    """Describe a protocol for people: the rule, how the view's targets are read, and notes.

    Args:
        description: the scorer's.
        notes: what else a reader must know, such as why intervals are too narrow; None is skipped.
    """
    parts: list[str | None] = [description]
    if task == "detect":
        parts.append(f"truths: origin {view.box_origin}, end {view.box_end}")
    if view.protocol_description:
        parts.append(" ".join(view.protocol_description.split()))
    return "; ".join(part for part in (*parts, *notes) if part)
