"""Is one model better than another? Differences on the same cases, tested, with ranks that show their ties.

    python scripts/compare.py RESULT RESULT [RESULT …] [--results DIR] [--json FILE]

A RESULT is a record's file or its key; seeds of one recipe count as one model. Everything comes from the case tables
beside the records: no images, no predictions. Masks by Dice, boxes by mAP50-95, landmarks by radial error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from usbench.cli.overrides import exit_code
from usbench.errors import ConfigError
from usbench.io.console import say, table, warn
from usbench.io.files import replacing
from usbench.leaderboard import comparison
from usbench.metrics import paired
from usbench.metrics.bootstrap import FEW_GROUPS
from usbench.results import store as results

ROOT = Path(__file__).resolve().parent.parent


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("result", nargs="+", metavar="RESULT", help="a record's file, or its key")
    parser.add_argument(
        "--results", type=Path, default=ROOT / "results", metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON too")
    return parser.parse_args(argv)


def compare(options: argparse.Namespace) -> int:
    """Load, compare, show, write; the exit code."""
    paths = [results.named(word, options.results) for word in options.result]
    models, groups, record = comparison.load(paths)
    if len(models) < 2:
        raise ConfigError(
            "two models or more were wanted, found one (seeds of one recipe are one model)"
        )
    found = comparison.compared(models, groups, bool(record["primary"]["higher_is_better"]))
    facts = told(found, record)
    show(facts)
    if options.json:
        with replacing(options.json) as part:
            part.write_text(
                json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
                encoding="utf-8",
            )
    return 0


def told(found: comparison.Compared, record: Mapping[str, Any]) -> dict[str, Any]:
    """A comparison as plain values."""
    models = zip(found.models, found.ranks, found.values, found.intervals, strict=True)
    pairs = zip(found.pairs, found.corrected, strict=True)
    return {
        "dataset": record["dataset"],
        "task": record["task"],
        "groups": found.groups,
        "words": comparison.WORDS[record["task"]],
        "models": [
            {"name": name, "rank": list(rank), "value": value, "low": of.low, "high": of.high}
            for name, rank, value, of in models
        ],
        "pairs": [{**asdict(pair), "holm": holm} for pair, holm in pairs],
        "resolution": found.resolution,
    }


def show(facts: dict[str, Any]) -> None:
    """Two tables, and what they rest on."""
    digits = 2 if facts["task"] == "landmark" else 3
    lines = [
        [rank(m["rank"]), m["name"], f"{m['value']:.{digits}f}", span(m, digits)]
        for m in facts["models"]
    ]
    table(
        f"{facts['dataset']} · {facts['task']}: {facts['groups']} groups",
        ["rank", "model", "score", "95 %"],
        lines,
    )
    rows = []
    for pair in facts["pairs"]:
        p = ["–", "–"] if pair["p"] is None else [f"{pair['p']:.4f}", f"{pair['holm']:.4f}"]
        told = "can't tell" if pair["holm"] is None or pair["holm"] >= paired.ALPHA else "differ"
        rows.append(
            [
                f"{pair['one']} − {pair['other']}",
                f"{pair['value']:+.{digits}f}",
                span(pair, digits),
                *p,
                told,
            ]
        )
    table("differences", ["", "difference", "95 %", "p", "Holm", ""], rows)
    say(
        f"resolution: {facts['resolution']:.{digits}f}, the smallest difference of the two best that these cases show"
    )
    say(facts["words"])
    if facts["groups"] < FEW_GROUPS:
        warn(f"{facts['groups']} groups: intervals and tests of so few are rough")


def rank(place: Sequence[int]) -> str:
    """1, or 1–3 where no test tells them apart."""
    return str(place[0]) if place[0] == place[1] else f"{place[0]}–{place[1]}"


def span(figure: dict[str, Any], digits: int) -> str:
    """An interval, – where there is none."""
    low, high = figure["low"], figure["high"]
    return "–" if low is None else f"{low:.{digits}f} … {high:.{digits}f}"


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for records that can't be compared, 2 for fewer than two models."""
    options = arguments(argv)
    return exit_code(lambda: compare(options))


if __name__ == "__main__":
    sys.exit(main())
