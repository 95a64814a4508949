"""Is one model better than another? Paired tests on the same cases, with ranks that show ties.

    usbench compare RESULT RESULT [RESULT …] [--results DIR] [--json FILE]

A RESULT is a result's file, name or run id. Models are the rows of the leaderboard: seeds of one
recipe count as one. Everything comes from the case tables beside the results: no images, no
predictions. Masks are compared by Dice, boxes by mAP50-95, landmarks by radial error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from usbench.cli.options import Options, make_parser, run_verb, write_json
from usbench.errors import ConfigError
from usbench.io.console import say, table, warn
from usbench.io.numbers import format_count, format_decimals
from usbench.leaderboard.comparison import DESCRIPTIONS, Comparison, compare_models, load_models
from usbench.leaderboard.legend import describe_resolution, describe_smallest_p
from usbench.leaderboard.rows import RowScore
from usbench.metrics import paired
from usbench.metrics.intervals import FEW_GROUPS
from usbench.results.format import UNDEFINED, USUAL_SCORES, format_value
from usbench.results.result import Result
from usbench.results.store import resolve_result


def compare(options: Options) -> None:
    """Load, compare, show, write."""
    paths = [resolve_result(name, options.results) for name in options.result]
    loaded = load_models(paths)
    if len(loaded.models) < 2:
        raise ConfigError(
            "expected at least two models, got one (seeds of one recipe are one model)"
        )
    primary = loaded.first.primary
    assert primary is not None, "a finished result has a primary score"
    comparison = compare_models(loaded.models, loaded.groups, primary.higher_is_better)
    show_comparison(comparison, loaded.scores, loaded.first)
    write_json(options.json, to_json(comparison, loaded.scores, loaded.first))


def to_json(
    comparison: Comparison, scores: Mapping[str, RowScore], result: Result
) -> dict[str, object]:
    """The comparison as JSON's data. scores: of each model. result: one that was compared."""
    models, pairs = [], []
    for name, rank in zip(comparison.models, comparison.ranks, strict=True):
        score = scores[name]
        figures = {"value": score.value, "low": score.low, "high": score.high}
        models.append({"name": name, "rank": rank, **figures})
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
        "smallest_p": paired.smallest_corrected_p(comparison.groups, len(comparison.models)),
    }


def show_comparison(comparison: Comparison, scores: Mapping[str, RowScore], result: Result) -> None:
    """Two tables, and what they rest on; arguments as for `to_json`."""
    score = USUAL_SCORES[result.task][0]  # that models are compared by
    models, differences = [], []
    for (first, last), name in zip(comparison.ranks, comparison.models, strict=True):
        rank = str(first) if first == last else f"{first}–{last}"
        ends = format_ends(scores[name].low, scores[name].high, score)
        models.append([rank, name, format_value(scores[name].value, score), ends])
    title = f"{result.dataset} · {result.task}: {format_count(comparison.groups, 'group')}"
    table(title, ["rank", "model", score, "95 %"], models)
    for pair, holm in zip(comparison.pairs, comparison.corrected, strict=True):
        p_values = [UNDEFINED, UNDEFINED]
        if pair.p is not None and holm is not None:
            p_values = [format_decimals(pair.p, 4), format_decimals(holm, 4)]
        verdict = "can't tell" if holm is None or holm >= paired.ALPHA else "differ"
        ends = format_ends(pair.low, pair.high, score)
        difference = format_value(pair.value, score, sign="+")
        differences.append([f"{pair.first} − {pair.second}", difference, ends, *p_values, verdict])
    table("differences", ["pair", "difference", "95 %", "p", "Holm", "verdict"], differences)
    best_two = comparison.pairs[0]
    say(describe_resolution(best_two.significant_from, best_two.resolution, score))
    impossible = describe_smallest_p(comparison.groups, len(comparison.models))
    if impossible:
        say(impossible)
    say(DESCRIPTIONS[result.task])
    if comparison.groups < FEW_GROUPS:
        warn(f"{format_count(comparison.groups, 'group')}: intervals and tests of so few are rough")


def format_ends(low: float | None, high: float | None, score: str) -> str:
    """An interval, – where there is none."""
    if low is None or high is None:
        return UNDEFINED
    return f"[{format_value(low, score)}, {format_value(high, score)}]"


def main(argv: list[str] | None = None) -> int:
    """The command; exit code 1 for results that can't be compared, 2 for fewer than two models."""
    parser = make_parser(__doc__, "write everything as JSON too", "compare", ("results",))
    parser.add_argument(
        "result", nargs="+", metavar="RESULT", help="a result's file, name or run id"
    )
    return run_verb(compare, parser.parse_args(argv))
