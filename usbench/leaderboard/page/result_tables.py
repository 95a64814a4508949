"""The figures of a result's page: the score with its protocol, all scores, classes, cases, and how it was made."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from usbench.leaderboard.markdown import NO_LEAK, shown
from usbench.leaderboard.page.commands import Run
from usbench.leaderboard.page.result_words import (
    Figures,
    both,
    bounds_of,
    copyable,
    details,
    facts,
    flat,
    name_of,
    note,
    safe,
    table,
    value_of,
)
from usbench.results.gallery import cases as gallery_cases
from usbench.runner.report import SHOWN
from usbench.types import Task

Record = Mapping[str, Any]
ALL = "all classes"
BINS = 20
MOST = 12  # classes that are drawn, or have a column of their own; tables of figures have all
WORDS: Mapping[Task, str] = {
    "segment": "Dice of an image, the mean over the classes that it or its prediction has",
    "detect": "F1 of an image at IoU .5, of boxes with a confidence of .25 at least",
    "landmark": "mean error of an image in px, over the landmarks that are seen",
}
TOLD: Mapping[Task, str] = {"segment": "Dice {}", "detect": "F1 {}", "landmark": "mean error {} px"}
SHORT: Mapping[Task, str] = {"segment": "Dice", "detect": "F1", "landmark": "mean error, px"}


def summary(record: Record) -> str:
    """The primary score, its interval, the protocol in words, and what to beware of."""
    name, scores, data = record["primary"]["name"], record["scores"], record["data"]
    figure, tests = scores[name], (data.get("counts") or {}).get("test")
    better = "higher is better" if record["primary"]["higher_is_better"] else "lower is better"
    interval = bounds_of(scores, name)
    told = [
        f"95 % interval {interval} over {figure['groups']} groups" if interval else "no interval",
        better,
    ]
    told += [f"{tests} test images"] if tests else []
    protocol = record["protocol"]
    lines = [
        f'<p class="score"><span>{safe(name_of(name))}</span> <strong>{safe(value_of(scores, name))}</strong></p>',
        f"<p>{safe('; '.join(told))}.</p>",
    ]
    leak = data.get("leakage")
    if leak and f"{name}{NO_LEAK}" in scores:
        clean = both(scores, f"{name}{NO_LEAK}")
        lines.append(note(f"{leak['description']}. Without them: {name_of(name)} {clean}.", "warn"))
    lines += [note(figure[key], "warn") for key in ("reason", "interval") if figure.get(key)]
    lines.append(
        f"<h3>Protocol: {safe(protocol['name'])}, version {safe(protocol['version'])}</h3>"
    )
    lines.append(f'<p class="small">{safe(protocol["description"])}.</p>')
    return "\n".join(lines)


def scores(record: Record) -> str:
    """Every score with its interval, without the leaking images too where some leak, and by the other rules."""
    own, target_score = record["scores"], target_scores(record)
    names = [name for name in own if not name.endswith(NO_LEAK) and own[name]["value"] is not None]
    leak = any(name.endswith(NO_LEAK) for name in own)
    header = [
        "score",
        "value",
        "95 %",
        "n",
        *(["without leaking images"] if leak else []),
        "target_score",
    ]
    rows = []
    for name in names:
        clean = [both(own, f"{name}{NO_LEAK}")] if leak else []
        top = shown(target_score[name], name) if name in target_score else ""
        n = "" if own[name]["n"] is None else str(own[name]["n"])
        rows.append([name, value_of(own, name), bounds_of(own, name), n, *clean, top])
    parts = [
        table(f"On the test images, by the protocol {record['protocol']['name']}", header, rows)
    ]
    parts += [f'<p class="small muted">{safe(words)}</p>' for words in undefined(own)]
    for name, rule in (record.get("protocols") or {}).items():
        lines = [
            [score, value_of(rule["scores"], score), bounds_of(rule["scores"], score)]
            for score in rule["scores"]
        ]
        made = table(
            f"The same predictions by the rule {name} {rule['version']}",
            ["score", "value", "95 %"],
            lines,
        )
        parts.append(
            details(
                f"By the rule {name}", f'<p class="small">{safe(rule["description"])}.</p>{made}'
            )
        )
    return "\n".join(parts)


def target_scores(record: Record) -> dict[str, float | None]:
    """score → the figure of the truth itself; of an old record that of the primary score alone."""
    found = record.get("target_score")
    if isinstance(found, Mapping):
        return {
            name: one["value"] if isinstance(one, Mapping) else one for name, one in found.items()
        }
    return {} if found is None else {record["primary"]["name"]: found}


def undefined(figures: Figures) -> list[str]:
    """A line for each reason why some figures have no value."""
    reasons: dict[str, list[str]] = {}
    for name, figure in figures.items():
        if figure["value"] is None and not name.endswith(NO_LEAK):
            reasons.setdefault(figure.get("reason") or "undefined", []).append(name)
    return [f"No value: {', '.join(names)} ({reason})." for reason, names in reasons.items()]


def classes(record: Record) -> str:
    """A row per class with the usual scores, and all the others when asked for."""
    per_class, usual = record["per_class"], SHOWN[record["task"]]
    names = [name for name in usual if any(name in own for own in per_class.values())]
    every = dict.fromkeys(
        name for own in per_class.values() for name, one in own.items() if one["value"] is not None
    )
    rows = [[label, *(both(own, name) for name in names)] for label, own in per_class.items()]
    made = table("Per class, with 95 % intervals", ["class", *map(name_of, names)], rows)
    lines = [[name, *(both(own, name) for own in per_class.values())] for name in every]
    return made + details(
        "Every score per class", table("Every score per class", ["score", *per_class], lines)
    )


def quality(value: float, task: Task) -> str:
    """A case's, as the tables show it."""
    return shown(value, "mre_px" if task == "landmark" else "dice")


@dataclass(frozen=True)
class Cases:
    """A result's cases, judged."""

    order: Sequence[tuple[str, float]]  # (case, quality) from the worst to the best
    by_class: Mapping[str, Mapping[str, float]]  # class → case → its quality there, as shown

    @staticmethod
    def of(rows: Sequence[Mapping[str, str]], record: Record) -> Cases:
        """From the case table."""
        table, task = gallery_cases.typed(rows), record["task"]
        parts = gallery_cases.by_class(table, task, list(record["per_class"]))
        return Cases(gallery_cases.ordered(table, task), parts)

    def spread(self, task: Task) -> dict[str, list[float]]:
        """all classes and each class → the qualities of its cases, ascending."""
        every = sorted(gallery_cases.shown(value, task) for _, value in self.order)
        return {
            ALL: every,
            **{label: sorted(cases.values()) for label, cases in self.by_class.items()},
        }


def histogram(values: Mapping[str, Sequence[float]], task: Task) -> dict[str, Any]:
    """{label, edges (21,), rows: [{name, counts (20,)}]}: bins from 0 to 1, of distances to the largest."""
    top = (
        max((max(own) for own in values.values() if own), default=1.0)
        if task == "landmark"
        else 1.0
    )
    edges = np.linspace(0, top or 1.0, BINS + 1)
    rows = [
        {"name": name, "counts": np.histogram(own, edges)[0].tolist()}
        for name, own in list(values.items())[: MOST + 1]
    ]
    return {"label": SHORT[task], "edges": [round(float(edge), 6) for edge in edges], "rows": rows}


def quartiles(values: Mapping[str, Sequence[float]], task: Task) -> str:
    """What the histogram shows, as a table."""
    rows = []
    for name, own in values.items():
        marks = np.quantile(own, (0, 0.25, 0.5, 0.75, 1)).tolist() if own else []
        rows.append([name, str(len(own)), *([quality(mark, task) for mark in marks] or ["–"] * 5)])
    header = [
        "class",
        "images",
        "lowest",
        "a quarter below",
        "median",
        "a quarter above",
        "highest",
    ]
    return table(f"{SHORT[task]} per image", header, rows)


def worst(cases: Cases, record: Record, most: int = 10) -> str:
    """The worst cases with their figures per class."""
    task, labels = record["task"], list(cases.by_class)[:MOST]
    leaking = (record["data"].get("leakage") or {}).get("images") or ()
    lines = []
    for case, value in cases.order[:most]:
        own = [cases.by_class[label].get(case) for label in labels]
        per = ["–" if one is None else quality(one, task) for one in own]
        told = "near-duplicate of a training image" if case in leaking else ""
        lines.append([case, told, quality(gallery_cases.shown(value, task), task), *per])
    header = ["image", "note", SHORT[task], *labels]
    return table(f"The worst {len(lines)} test images", header, lines, 2)


def made_by(record: Record, how: Run | None) -> str:
    """The commands that make the result again. how: of a run of ours, see usbench.leaderboard.page.commands."""
    line, lines = command(record, how), []
    if line:
        lines.append(
            "<p>With the releases in <code>data</code>, or in the folder that <code>data=</code> names:</p>"
        )
        lines.append(copyable(line))
    if how is not None and how.again:
        lines.append(
            "<p>The recorded run once more, every setting from its record, and compared with it:</p>"
        )
        lines.append(copyable(f"python scripts/reproduce.py {record['run_id']} --data data"))
    return (
        "\n".join(lines)
        or "<p>No short command describes this run: it is done as its record says.</p>"
    )


def command(record: Record, how: Run | None) -> str:
    """What makes a result on one's own machine; "" where no short command does."""
    where = f"dataset={record['dataset']}"
    words = {
        "baseline": ["scripts/sanity.py", where, f"task={record['task']}", "source=real"],
        "human": ["scripts/interrater.py", where],
        "external": ["scripts/score.py", record["task"], "--dataset", record["dataset"]],
    }.get(record["origin"], [])
    if record["origin"] == "external":
        words += ["--predictions", "PREDICTIONS", "--name", record["model"]]
    if how is not None and how.words is not None:
        numbers = {"seed": how.seed, "fold": how.fold}
        words = [
            "-m",
            "usbench",
            *how.words,
            *(f"{name}={n}" for name, n in numbers.items() if n is not None),
        ]
    return shlex.join(["python", *words]) if words else ""


def configuration(record: Record) -> str:
    """Recipe, data, code and machine, each to unfold."""
    config, data, code, machine = (
        record.get("config") or {},
        record["data"],
        record["code"],
        record["machine"],
    )
    model, recipe = config.get("model") or {}, (config.get("model") or {}).get("recipe") or {}
    run = [
        (name, record.get(name))
        for name in ("seed", "fold", "trained_on", "device", "precision", "threads")
    ]
    run += [("parameters", f"{record['parameters']:,}" if record.get("parameters") else None)]
    run += [(f"seconds, {stage}", value) for stage, value in (record.get("seconds") or {}).items()]
    chosen = record.get("validation") or {}
    if chosen.get("value") is not None:
        run.append((f"{chosen['name']} on validation", shown(chosen["value"], chosen["name"])))
    counts = [(f"{split} images", n) for split, n in (data.get("counts") or {}).items()]
    licence = (config.get("dataset") or {}).get("licence")
    told = [
        *counts,
        ("split", data.get("splits")),
        ("licence", licence),
        ("fingerprint", data.get("fingerprint")),
    ]
    state = [
        ("version", code["version"]),
        ("commit", code["commit"]),
        ("uncommitted changes", "yes" if code["dirty"] else "no"),
    ]
    surroundings = [("processor", machine.get("processor")), ("GPU", machine.get("gpu"))]
    blocks = {
        f"Recipe: {record['recipe']}": facts(flat(recipe)) if recipe else "",
        "Model": facts(flat(model.get("build") or {})) if model.get("build") else "",
        "Run": facts(run),
        "Data": facts(told),
        "Code": facts(state),
        "Machine and packages": facts([*surroundings, *(machine.get("packages") or {}).items()]),
    }
    return "\n".join(details(title, content) for title, content in blocks.items() if content)
