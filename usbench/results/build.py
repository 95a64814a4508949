"""Scores as a result holds them: with a description and the score to rank by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from usbench.datasets.config import ViewConfig
from usbench.errors import ConfigError
from usbench.metrics.scores import ProtocolScores, Scores
from usbench.metrics.strata import Strata
from usbench.results.result import Primary, Result
from usbench.results.store import lower_is_better
from usbench.types import Task


@dataclass(frozen=True)
class ReportedScores:
    """The scores as a result holds them, and the one that it is ranked by."""

    protocols: tuple[ProtocolScores, ...]
    primary: Primary
    strata: tuple[Strata, ...] = ()


def report_scores(scores: Scores, primary: str, description: str | None = None) -> ReportedScores:
    """Prepare scores for a result.

    Args:
        scores: from a scorer.
        primary: the name of the score to rank by.
        description: of the reporting protocol; None: as the scorer describes it.

    Raises:
        ConfigError: the reporting protocol has no score named `primary`.
    """
    protocols = list(scores.protocols)
    if description is not None:
        protocols[0] = replace(protocols[0], description=description)
    figures = protocols[0].scores
    if primary not in figures:
        raise ConfigError(f"metric.primary={primary}: expected one of {', '.join(figures)}")
    higher_is_better = figures[primary].higher_is_better
    if higher_is_better is None:
        higher_is_better = not lower_is_better(primary)
    return ReportedScores(
        tuple(protocols), Primary(primary, figures[primary].value, higher_is_better)
    )


def build_result(facts: Result, scores: ReportedScores) -> Result:
    """Build a finished result from one without scores."""
    return replace(
        facts,
        status="done",
        reason=None,
        primary=scores.primary,
        protocols=scores.protocols,
        strata=scores.strata,
    )


def describe_protocol(
    description: str, task: Task, view: ViewConfig, notes: Sequence[str | None] = ()
) -> str:
    """Describe a protocol for people: the rule, how the view's targets are read, and notes.

    Args:
        description: the scorer's.
        notes: what else a reader must know, such as why intervals are too narrow; None is skipped.
    """
    origin = f"truths: origin {view.box_origin}, end {view.box_end}" if task == "detect" else None
    of_view = " ".join((view.protocol_description or "").split())
    return "; ".join(filter(None, (description, origin, of_view, *notes)))
