"""The leaderboard for programs: rows → CSV, one line per row, protocol and score."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from usbench.io.plain_text import quote_cell
from usbench.leaderboard.rows import Agreement, Row, RowScore

# fmt: off
COLUMNS = (
    "dataset", "task", "protocol", "protocol_version", "old_protocol", "old_version", "split",
    "origin", "name", "model", "recipe", "altered", "fold", "folds", "folds_done", "pooled", "trained_on",
    "status", "score", "value", "sd", "low", "high", "se", "groups",
    "seeds", "seeds_done", "seeds_begun", "target_score", "primary", "higher_is_better",
    "delta_published", "against", "agreement", "agreement_reason", "delta_low", "delta_high",
    "rank_first", "rank_last", "ranked", "significant_from", "resolution", "marks", "leakage",
    "parameters", "macs", "latency_ms", "hours", "source", "verified", "run_ids", "note",
)
# fmt: on


def to_csv(rows: Iterable[Row]) -> str:
    """One line per row and score; the protocol has a column; a failed row has one line."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    for row in rows:
        facts = row_facts(row)
        for score, figure in sorted(row.scores.items()) or [("", RowScore(()))]:
            line = {**facts, **score_facts(row, score, figure)}
            table.writerow({name: quote_cell(value) for name, value in line.items()})
    return text.getvalue()


def row_facts(row: Row) -> dict[str, object]:
    """The columns that are the same for all scores of a row."""
    folds_done, folds = row.folds or ("", "")
    rank_first, rank_last = row.rank or ("", "")
    agreement = row.agreement or Agreement("")
    return {
        "dataset": row.dataset,
        "task": row.task,
        "protocol": row.protocol,
        "protocol_version": row.version if row.origin != "published" else None,
        "old_protocol": int(row.old_protocol),
        "old_version": int(row.old_version),
        "split": row.split,
        "origin": row.origin,
        "name": row.name,
        "model": row.model,
        "recipe": row.recipe,
        "altered": row.altered,
        "fold": row.fold,
        "folds": folds,
        "folds_done": folds_done,
        "pooled": int(row.pooled) if row.folds else "",
        "trained_on": row.trained_on,
        "status": row.status,
        "seeds": " ".join(map(str, row.seeds)),
        "seeds_done": len(row.seeds) or "",
        "seeds_begun": row.seeds_begun or "",
        "against": row.against,
        "agreement": agreement.verdict,
        "agreement_reason": agreement.reason,
        "rank_first": rank_first,
        "rank_last": rank_last,
        "ranked": row.ranked or "",
        "marks": "; ".join(row.marks),
        "leakage": row.leakage,
        "parameters": row.parameters,
        "macs": row.cost.macs if row.cost else "",
        "latency_ms": row.cost.latency_ms.p50 if row.cost else "",
        "hours": format_number(row.training_hours),
        "source": row.source,
        "verified": row.verified,
        "run_ids": " ".join(row.run_ids),
        "note": row.note,
    }


def score_facts(row: Row, score: str, figure: RowScore) -> dict[str, object]:
    """The columns of one score."""
    facts: dict[str, object] = {
        "score": score,
        "value": format_number(figure.value),
        "sd": format_number(figure.sd),
        "low": format_number(figure.low),
        "high": format_number(figure.high),
        "se": format_number(figure.se),
        "groups": figure.groups or "",
        "primary": int(score == row.primary),
    }
    direction = row.higher_is_better if score == row.primary else figure.higher_is_better
    facts["higher_is_better"] = "" if direction is None else int(direction)
    if score == row.primary:
        facts |= {
            "target_score": format_number(row.target_score),
            "significant_from": format_number(row.significant_from),
            "resolution": format_number(row.resolution),
        }
    if score == row.delta_score:
        agreement = row.agreement or Agreement("")
        facts |= {
            "delta_published": format_number(row.delta),
            "delta_low": format_number(agreement.low),
            "delta_high": format_number(agreement.high),
        }
    return facts


def format_number(value: float | None) -> str:
    """Six significant digits; "" for None."""
    return "" if value is None else f"{value + 0.0:.6g}"
