"""Where a result stands: the ranks of its row, what the leaderboard finds, and its other seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from usbench.io.numbers import format_count
from usbench.leaderboard.findings import state_findings
from usbench.leaderboard.published import DatasetSummary
from usbench.leaderboard.rows import Row
from usbench.metrics.scores import Figure
from usbench.results import store
from usbench.results.format import format_value, score_title
from usbench.results.result import Result


@dataclass(frozen=True)
class Sibling:
    """One run of a row."""

    run_id: str
    name: str  # such as "seed 1, fold 2"
    figure: Figure  # of the primary score
    page: str  # file name beside the result


@dataclass(frozen=True)
class Standing:
    """What a result's page says of its place among the others."""

    rank: str  # such as "2–4 of 7"; "" where it has none
    reason: str  # what the rank rests on, or why there is none
    finding: str = ""  # the leaderboard's on the dataset and task
    siblings: tuple[Sibling, ...] = ()  # all runs of its row, itself among them, if several
    together: str = ""  # what they score together


def find_standings(
    rows: Sequence[Row], datasets: Iterable[DatasetSummary], results: Iterable[Result]
) -> dict[str, Standing]:
    """Run id → where that finished result stands.

    Args:
        rows: of the leaderboard, with their ranks.
        datasets: with their tasks and notes.
        results: that the rows were made of.
    """
    findings = {
        (finding.dataset, finding.task): finding.headline
        for finding in state_findings(rows, datasets)
        if finding.has_results
    }
    by_id = {result.run_id: result for result in results if result.is_done}
    standings = {}
    for row in rows:
        for run_id in row.run_ids:
            result = by_id.get(run_id)
            if result is None or not is_of_protocol(row, result):
                continue
            if run_id in standings and row.folds is not None:
                continue  # the row of its fold alone says more of a run
            members = [by_id[member] for member in row.run_ids if member in by_id]
            siblings = tuple(map(describe_sibling, members)) if len(members) > 1 else ()
            standings[run_id] = Standing(
                rank=format_rank(row),
                reason=explain_rank(row),
                finding=findings.get((row.dataset, row.task), ""),
                siblings=siblings,
                together=describe_together(row, len(siblings)),
            )
    return standings


def is_of_protocol(row: Row, result: Result) -> bool:
    """Whether a row has the scores that the result reports."""
    protocol = result.protocol
    return row.status == "done" and (row.protocol, row.version) == (protocol.name, protocol.version)


def describe_sibling(result: Result) -> Sibling:
    """One run of a row. It has a primary score, as every finished result."""
    assert result.primary is not None
    names = {"seed": result.seed, "fold": result.fold}
    name = ", ".join(f"{key} {value}" for key, value in names.items() if value is not None)
    page = store.result_path(Path(), result).with_suffix(".html").name
    return Sibling(result.run_id, name or result.run_id, result.scores[result.primary.name], page)


def format_rank(row: Row) -> str:
    """The places that paired tests leave a row, such as "2–4 of 7"; "" where it has none."""
    if row.rank is None:
        return ""
    first, last = row.rank
    places = str(first) if first == last else f"{first}–{last}"
    return f"{places} of {row.ranked}"


def explain_rank(row: Row) -> str:
    """What a row's rank rests on, or why it has none."""
    if row.rank is not None:
        where = format_count(row.compared_groups, "group")
        tied = " Models whose ranges overlap are tied." if row.rank[0] != row.rank[1] else ""
        return f"By paired tests on the same images, in {where}.{tied}"
    reasons: Mapping[str, bool] = {
        "Agreement of people, which isn't ranked.": row.origin == "human",
        "A baseline, which isn't ranked.": row.origin == "baseline",
        "Not ranked: scored by an older version of the protocol.": row.old_protocol,
        "Not ranked: trained by an older version of the model's adapter.": row.old_version,
        "Not ranked: some folds are missing.": not row.has_all_folds,
    }
    alone = "Not ranked: no other model was tested on the same images yet."
    return next((reason for reason, holds in reasons.items() if holds), alone)


def describe_together(row: Row, runs: int) -> str:
    """What several runs of a row score together; "" for one."""
    if runs < 2:
        return ""
    score = row.score
    sd = score.sd if score else None
    value = format_value(row.value, row.primary)
    spread = f", SD {format_value(sd, row.primary)}" if sd is not None else ""
    how = "pooled over folds" if row.pooled else "mean"
    return f"{score_title(row.primary)} {value}, {how} of {runs} runs{spread}"
