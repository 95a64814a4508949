"""Is one model better than another? Paired tests on the same cases, with ranks that show ties.

    usbench compare RESULT RESULT [RESULT …] [--results DIR] [--json FILE]
    usbench compare hc18/segment
    usbench compare 'results/usgra/segment/unet-*'

A RESULT is a result's file, name or run id, a folder of results or a glob of them. Models are the
rows of the leaderboard: seeds of one recipe count as one. Everything comes from the case tables
beside the results: no images, no predictions. Masks are compared by Dice, boxes by mAP50-95,
landmarks by radial error. A result that can't be compared with most of the others (a failed run, a
damaged file, other data) is left out, and the reason is said. A terminal shows the columns that
fit; --json writes all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from usbench.cli.options import Options, make_parser, run_verb, write_json
from usbench.errors import ConfigError, DataError
from usbench.io.console import fit_columns, say, table, warn
from usbench.io.numbers import format_count, format_decimals
from usbench.leaderboard.comparison import (
    DESCRIPTIONS,
    ComparedResults,
    Comparison,
    compare_models,
    describe_too_few,
    load_models,
)
from usbench.leaderboard.legend import describe_resolution, describe_smallest_p
from usbench.metrics import paired
from usbench.metrics.intervals import FEW_GROUPS
from usbench.results.format import UNDEFINED, USUAL_SCORES, format_value
from usbench.results.selection import select_results


def compare(options: Options) -> None:
    """Load, compare, show, write."""
    loaded = load_models(select_results(options.result, options.results))
    if len(loaded.models) < 2:
        kind = DataError if loaded.left_out else ConfigError
        raise kind(describe_too_few(len(loaded.models), loaded.left_out))
    for reason in loaded.left_out:
        warn(f"left out: {reason}")
    primary = loaded.first.primary
    assert primary is not None, "a finished result has a primary score"
    comparison = compare_models(loaded.models, loaded.groups, primary.higher_is_better)
    show_comparison(comparison, loaded)
    write_json(options.json, to_json(comparison, loaded))


def to_json(comparison: Comparison, loaded: ComparedResults) -> dict[str, object]:
    """The comparison of loaded results as JSON's data."""
    models, pairs = [], []
    scores, result = loaded.scores, loaded.first
    for name, rank in zip(comparison.models, comparison.ranks, strict=True):
        score = scores[name]
        figures = {"value": score.value, "low": score.low, "high": score.high}
        run_ids = loaded.run_ids[name]
        seeds = len(run_ids)
        models.append({"name": name, "rank": rank, **figures, "seeds": seeds, "run_ids": run_ids})
    for pair, holm in zip(comparison.pairs, comparison.corrected, strict=True):
        pairs.append({**asdict(pair), "holm": holm})
    return {
        "dataset": result.dataset,
        "task": result.task,
        "groups": comparison.groups,
        "description": DESCRIPTIONS[result.task],
        "models": models,
        "pairs": pairs,
        "significant_from": comparison.pairs[0].significant_from,
        "resolution": comparison.pairs[0].resolution,
        "left_out": loaded.left_out,
        "smallest_p": paired.smallest_corrected_p(comparison.groups, len(comparison.models)),
    }


def show_comparison(comparison: Comparison, loaded: ComparedResults) -> None:
    """Two tables, and what they rest on; arguments as for `to_json`."""
    result = loaded.first
    score = USUAL_SCORES[result.task][0]  # that models are compared by
    title = f"{result.dataset} · {result.task}: {format_count(comparison.groups, 'group')}"
    header = ["rank", "model", score, "95 %", "seeds"]
    hidden = show_fitting(title, header, model_lines(comparison, loaded, score), ["seeds", "95 %"])
    header = ["pair", "difference", "95 %", "p", "Holm", "verdict"]
    lines = pair_lines(comparison, score)
    hidden += show_fitting("differences", header, lines, ["p", "95 %", "Holm"])
    if hidden:
        columns = ", ".join(dict.fromkeys(hidden))
        say(f"too wide for this terminal, so not shown: {columns} (--json FILE writes all)")
    best_two = comparison.pairs[0]
    say(describe_resolution(best_two.significant_from, best_two.resolution, score))
    impossible = describe_smallest_p(comparison.groups, len(comparison.models))
    if impossible:
        say(impossible)
    say(DESCRIPTIONS[result.task])
    if comparison.groups < FEW_GROUPS:
        warn(f"{format_count(comparison.groups, 'group')}: intervals and tests of so few are rough")


def show_fitting(
    title: str, header: Sequence[str], lines: Sequence[Sequence[str]], optional: Sequence[str]
) -> list[str]:
    """Show a table without the optional columns that don't fit; the titles of those."""
    shown, cells, hidden = fit_columns(header, lines, optional)
    table(title, shown, cells)
    return hidden


def model_lines(comparison: Comparison, loaded: ComparedResults, score: str) -> list[list[str]]:
    """A line per model, best first. score: the name of the score."""
    lines = []
    for (first, last), name in zip(comparison.ranks, comparison.models, strict=True):
        rank = str(first) if first == last else f"{first}–{last}"
        figure = loaded.scores[name]
        ends = format_ends(figure.low, figure.high, score)
        seeds = str(len(loaded.run_ids[name]))
        lines.append([rank, name, format_value(figure.value, score), ends, seeds])
    return lines


def pair_lines(comparison: Comparison, score: str) -> list[list[str]]:
    """A line per pair of models. score: the name of the score."""
    lines = []
    for pair, holm in zip(comparison.pairs, comparison.corrected, strict=True):
        p_values = [UNDEFINED, UNDEFINED]
        if pair.p is not None and holm is not None:
            p_values = [format_decimals(pair.p, 4), format_decimals(holm, 4)]
        verdict = "can't tell" if holm is None or holm >= paired.ALPHA else "differ"
        ends = format_ends(pair.low, pair.high, score)
        difference = format_value(pair.value, score, sign="+")
        lines.append([f"{pair.first} − {pair.second}", difference, ends, *p_values, verdict])
    return lines


def format_ends(low: float | None, high: float | None, score: str) -> str:
    """An interval, – where there is none."""
    if low is None or high is None:
        return UNDEFINED
    return f"[{format_value(low, score)}, {format_value(high, score)}]"


def main(argv: list[str] | None = None) -> int:
    """The command; exit code 1 where fewer than two models are left, 2 where fewer were named."""
    parser = make_parser(__doc__, "write everything as JSON too", "compare", ("results",))
    help_text = "a result's file, name or run id, a folder of results, or a glob"
    parser.add_argument("result", nargs="+", metavar="RESULT", help=help_text)
    return run_verb(compare, parser.parse_args(argv))
