"""Is one model better than another? Paired tests on the same cases, with ranks that show ties.

    usbench compare RESULT RESULT [RESULT …] [--results DIR] [--json FILE]

A RESULT is a result's file, name or run id. Models are the rows of the leaderboard: seeds of one
recipe count as one. Everything comes from the case tables beside the results: no images, no
predictions. Masks are compared by Dice, boxes by mAP50-95, landmarks by radial error.
"""

from __future__ import annotations

from dataclasses import asdict

from usbench.cli.options import Options, make_parser, run_verb, write_json
from usbench.errors import ConfigError
from usbench.io.console import say, table, warn
from usbench.io.numbers import format_count, format_decimals
from usbench.leaderboard.comparison import DESCRIPTIONS, Comparison, compare_models, load_models
from usbench.leaderboard.legend import describe_resolution, describe_smallest_p
from usbench.metrics import paired
from usbench.metrics.bootstrap import FEW_GROUPS
from usbench.results.format import UNDEFINED, USUAL_SCORES, format_value
from usbench.results.result import Result
from usbench.results.store import resolve_result


def compare(options: Options) -> None:
    """Load, compare, show, write."""
    paths = [resolve_result(name, options.results) for name in options.result]
    models, groups, result = load_models(paths)
    if len(models) < 2:
        raise ConfigError(
            "expected at least two models, got one (seeds of one recipe are one model)"
        )
    assert result.primary is not None, "a finished result has a primary score"
    comparison = compare_models(models, groups, result.primary.higher_is_better)
    show_comparison(comparison, result)
    write_json(options.json, to_json(comparison, result))


def to_json(comparison: Comparison, result: Result) -> dict[str, object]:
    """The comparison as JSON's data. result: one of those that were compared."""
    models, pairs = [], []
    columns = (comparison.models, comparison.ranks, comparison.values, comparison.intervals)
    for name, rank, value, interval in zip(*columns, strict=True):
        bounds = {"low": interval.low, "high": interval.high}
        models.append({"name": name, "rank": rank, "value": value, **bounds})
    for pair, holm in zip(comparison.pairs, comparison.corrected, strict=True):
        pairs.append({**asdict(pair), "holm": holm})
    return {
        "dataset": result.dataset,
        "task": result.task,
        "groups": comparison.groups,
        "description": DESCRIPTIONS[result.task],
        "models": models,
        "pairs": pairs,
        "significant_from": comparison.significant_from,
        "resolution": comparison.resolution,
        "smallest_p": paired.smallest_corrected_p(comparison.groups, len(comparison.models)),
    }


def show_comparison(comparison: Comparison, result: Result) -> None:
    """Two tables, and what they rest on."""
    score = USUAL_SCORES[result.task][0]  # that models are compared by
    models, differences = [], []
    columns = (comparison.ranks, comparison.models, comparison.values, comparison.intervals)
    for (first, last), name, value, interval in zip(*columns, strict=True):
        rank = str(first) if first == last else f"{first}–{last}"
        ends = format_ends(interval.low, interval.high, score)
        models.append([rank, name, format_value(value, score), ends])
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
    sizes = comparison.significant_from, comparison.resolution
    say(describe_resolution(*sizes, score))
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
