"""What a finished run tells its user: a table per class, the target_score, where things lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from usbench.io.console import say, table
from usbench.metrics.scores import Figure
from usbench.results.store import lower_is_better

SHOWN = {
    "segment": ("dice", "iou", "nsd", "hd95_px"),
    "detect": ("map50_95", "map50", "map75", "ar100"),
    "landmark": ("mre_px", "sdr_px_4", "mre_mm", "curve_mean_px"),
}


def figures(scored: Mapping[str, Figure], groups: int) -> dict[str, dict[str, Any]]:
    """Figures as a record holds them; without an interval it says why, where there is a reason."""
    out: dict[str, dict[str, Any]] = {}
    for name, figure in scored.items():
        method = None if figure.low is None else "percentile"
        bounds = {"low": figure.low, "high": figure.high, "method": method}
        out[name] = {"value": figure.value, **bounds, "n": figure.n, "groups": groups}
        if figure.interval is not None:
            out[name]["interval"] = figure.interval
        if figure.value is None:
            out[name]["reason"] = figure.reason or "undefined"
    return out


def shown(value: float, name: str) -> str:
    """Three digits behind the point; of a distance two."""
    return f"{value:.2f}" if lower_is_better(name) else f"{value:.3f}"


def cell_of(scores: Mapping[str, Any], name: str) -> str:
    """A figure for a table, – where undefined."""
    value = scores.get(name, {}).get("value")
    return "–" if value is None else shown(value, name)


def bounds(scores: Mapping[str, Any], name: str) -> str:
    """Its interval for a table, – where there is none; short, for a terminal is 80 columns wide."""
    low, high = (scores.get(name, {}).get(end) for end in ("low", "high"))
    if low is None or high is None:
        return "–"
    ends = (
        f"{end:.1f}" if lower_is_better(name) else f"{end:.3f}".removeprefix("0")
        for end in (low, high)
    )
    return "–".join(ends)


def cases_of(scores: Mapping[str, Any], names: Sequence[str]) -> str:
    """How many cases the first of the figures is made of that isn't undefined."""
    return next(
        (str(scores[name]["n"]) for name in names if scores.get(name, {}).get("value") is not None),
        "0",
    )


def rows(record: Mapping[str, Any], names: Sequence[str]) -> Iterable[list[str]]:
    """A row per class, then all classes and their interval, then the target_score."""
    for label, scores in record["per_class"].items():
        yield [label, *(cell_of(scores, name) for name in names), cases_of(scores, names)]
    yield [
        "all classes",
        *(cell_of(record["scores"], name) for name in names),
        cases_of(record["scores"], names),
    ]
    yield ["95 %", *(bounds(record["scores"], name) for name in names), ""]
    if record["data"]["leakage"]:
        clean = [cell_of(record["scores"], f"{name}:no-leak") for name in names]
        yield [f"without {record['data']['leak']['n']} leaking images", *clean, ""]
    yield ["target_score", *(cell_of(record["target_score"], name) for name in names), ""]


def final(record: Mapping[str, Any], path: Path, pictures: Sequence[Path]) -> None:
    """The table on stdout."""
    counts = record["data"]["counts"]
    words = [record["dataset"], record["model"], record["recipe"], f"seed {record['seed']}"]
    words += [f"trained on {record['trained_on']}"] if record["trained_on"] else []
    title = f"{' · '.join(words)} · test, {counts['test']} images"
    names = SHOWN[record["task"]]
    table(title, ["class", *names, "images"], rows(record, names))
    unsure = record["scores"][record["primary"]["name"]].get("interval")
    if unsure:
        say(f"interval of {record['primary']['name']}: {unsure}")
    say(
        f"protocol {record['protocol']['name']} v{record['protocol']['version']}: {record['protocol']['description']}"
    )
    for name, other in record["protocols"].items():
        shown = "  ".join(
            f"{key} {cell_of(other['scores'], key)} (target_score {cell_of(other['target_score'], key)})"
            for key in other["scores"]
        )
        say(f"by the rule {name}: {shown}")
    seconds = "  ".join(f"{name} {value:.0f} s" for name, value in record["seconds"].items())
    say(
        f"{seconds}; {record['parameters'] or 0:,} parameters; {record['device']}, {record['precision']}, "
        f"{record['threads']} threads"
    )
    for picture in pictures:
        say(f"overlays: {picture}")
    say(f"result: {path}")


def trial(record: Mapping[str, Any]) -> None:
    """A line for a trial of a search: nobody chooses by test figures."""
    say(f"validation: {record['validation']['name']} {record['validation']['value']}")


def phantom_notice(dataset: Mapping[str, Any], task: str, model: str) -> str:
    """Why these figures stand apart, and which published one (the model's, else the best) they stand apart from."""
    rows = [
        row
        for row in dataset.get("published") or ()
        if row["task"] == task and row["split"] == "test"
    ]
    rows = [row for row in rows if row["model"] == model] or rows
    words = ""
    if rows:
        best = max(rows, key=lambda row: next(iter(row["scores"].values())))
        name, value = next(iter(best["scores"].items()))
        words = f", such as the {name} {value} of {best['name']}"
    return (
        f"these are phantom images, drawn by usbench in the format of {dataset['name']}'s release: their figures go to "
        f"results/phantom and are never compared with a published number{words}"
    )
