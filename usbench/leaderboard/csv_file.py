"""The board for programs: rows → CSV, one line per row, protocol and score."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from usbench.leaderboard.rows import Figure, Row

COLUMNS = (
    *(
        "dataset",
        "task",
        "protocol",
        "protocol_version",
        "old_protocol",
        "split",
        "origin",
        "name",
        "model",
        "recipe",
        "fold",
    ),
    *("folds", "folds_done", "pooled"),
    *(
        "trained_on",
        "status",
        "score",
        "value",
        "sd",
        "low",
        "high",
        "se",
        "groups",
        "seeds",
        "seeds_done",
        "seeds_begun",
        "target_score",
        "primary",
        "delta_published",
    ),
    *(
        "against",
        "agreement",
        "agreement_reason",
        "delta_low",
        "delta_high",
        "rank_first",
        "rank_last",
        "ranked",
    ),
    *(
        "resolution",
        "marks",
        "leak",
        "parameters",
        "macs",
        "latency_ms",
        "hours",
        "source",
        "verified",
        "keys",
        "note",
    ),
)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value + 0.0:.6g}"


def _csv_line(row: Row, score: str, figure: Figure) -> dict[str, object]:
    told = row.agreement
    line: dict[str, object] = {name: getattr(row, name) for name in COLUMNS if hasattr(row, name)}
    return {
        **line,
        "protocol_version": row.version if row.origin != "published" else None,
        "old_protocol": int(row.old),
        "primary": int(score == row.primary),
        "target_score": _number(row.target_score) if score == row.primary else "",
        "score": score,
        "value": _number(figure.mean),
        "sd": _number(figure.sd),
        "low": _number(figure.low),
        "high": _number(figure.high),
        "se": _number(figure.se),
        "groups": figure.groups or "",
        "delta_published": _number(row.delta) if score == row.delta_score else "",
        "agreement": told.word if told else "",
        "agreement_reason": told.reason if told else "",
        "delta_low": _number(told.low if told else None) if score == row.delta_score else "",
        "delta_high": _number(told.high if told else None) if score == row.delta_score else "",
        "rank_first": row.rank[0] if row.rank else "",
        "rank_last": row.rank[1] if row.rank else "",
        "ranked": row.ranked or "",
        "resolution": _number(row.resolution) if score == row.primary else "",
        "marks": "; ".join(row.marks),
        "macs": row.cost["macs"] if row.cost else "",
        "latency_ms": row.cost["latency_ms"]["p50"] if row.cost else "",
        "hours": _number(row.hours),
        "seeds": " ".join(map(str, row.seeds)),
        **_complete(row),
        "keys": " ".join(row.keys),
    }


def _complete(row: Row) -> dict[str, object]:
    """How many seeds and folds there are, of how many."""
    done, every = row.folds or ("", "")
    pooled = int(row.pooled) if row.folds else ""
    seeds = {"seeds_done": len(row.seeds) or "", "seeds_begun": row.wanted or ""}
    return {**seeds, "folds_done": done, "folds": every, "pooled": pooled}


def comma_separated(rows: Iterable[Row]) -> str:
    """The board for programs: one line per row and score, the protocol in a column of its own; failed rows one line."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    for row in rows:
        for score, figure in sorted(row.scores.items()) or [("", Figure(()))]:
            table.writerow(_csv_line(row, score, figure))
    return text.getvalue()
