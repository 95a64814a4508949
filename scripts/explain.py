"""One result's stored predictions under every rule that fits its task, side by side: how far apart rules put the same;
of masks also HD95 as three packages define it, of boxes the implantability score of Kumar et al. 2025.

    python scripts/explain.py RESULT [--results DIR] [--runs DIR] [--class NAME] [--json FILE]

RESULT is a record's file or its key. Nothing is trained and no result is changed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from usbench.cli.overrides import exit_code
from usbench.errors import ConfigError
from usbench.evaluate.rescore import Stored, stored
from usbench.io.console import say, table, track
from usbench.io.files import replacing
from usbench.leaderboard import implantability as implant
from usbench.metrics.box_protocols import BOX_PROTOCOLS
from usbench.metrics.landmark_scorer import RADIAL
from usbench.metrics.mask_protocols import MASK_PROTOCOLS
from usbench.metrics.outline_distances import measure_distances, pixel_hd95
from usbench.metrics.scores import Figures, ProtocolScores, Scores
from usbench.results import scoring
from usbench.results import store as results
from usbench.runner import report
from usbench.types import Masks, Task

ROOT = Path(__file__).resolve().parent.parent
RULES: Mapping[Task, tuple[str, ...]] = {
    "segment": tuple(MASK_PROTOCOLS),
    "detect": tuple(BOX_PROTOCOLS),
    "landmark": (RADIAL.name,),
}
SHOWN: Mapping[Task, tuple[str, ...]] = {
    "segment": ("dice", "iou"),
    "detect": ("map50_95", "map50"),
    "landmark": ("mre_px",),
}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("result", metavar="RESULT", help="a record's file, or its key")
    parser.add_argument(
        "--results", type=Path, default=ROOT / "results", metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--runs", type=Path, default=ROOT / "runs", metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument("--class", dest="label", metavar="NAME", help="the figures of one class")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON too")
    return parser.parse_args(argv)


def by_every_rule(kept: Stored) -> Scores:
    """The record's own rules first, then every other of its task."""
    own = list(kept.cell["metric"]["protocols"])
    others = [rule for rule in RULES[kept.dataset.task] if rule not in own]
    return kept.score({**kept.cell["metric"], "protocols": [*own, *others], "extra": {}})


def figures_of(ruled: ProtocolScores, label: str | None) -> Figures:
    """Of all classes, or of one; ConfigError for a class that no rule has."""
    if label is None:
        return ruled.scores
    if label not in ruled.per_class:
        raise ConfigError(f"--class {label}: one of {', '.join(ruled.per_class)} was wanted")
    return ruled.per_class[label]


def show(scores: Scores, task: Task, label: str | None, title: str) -> None:
    """A line per rule: figure, interval, target_score; then the rules in words."""
    names = SHOWN[task]
    lines = []
    for ruled in scores.protocols:
        figures = report.figures(figures_of(ruled, label), 0)
        target_score = report.cell_of(report.figures(ruled.target_score, 0), names[0])
        shown = [report.cell_of(figures, names[0]), report.bounds(figures, names[0])]
        lines.append(
            [
                f"{ruled.name} {ruled.version}",
                *shown,
                *(report.cell_of(figures, n) for n in names[1:]),
                target_score,
            ]
        )
    table(title, ["rule", names[0], "95 %", *names[1:], "target_score"], lines)
    values = [
        value
        for ruled in scores.protocols
        if (value := figures_of(ruled, label)[names[0]].value) is not None
    ]
    if len(values) > 1:
        say(
            f"the same predictions: {names[0]} from {min(values):.3f} to {max(values):.3f}, by the rule alone"
        )
    for ruled in scores.protocols:
        say(f"{ruled.name} {ruled.version}: {ruled.description}")


def show_distances(kept: Stored) -> None:
    """HD95 of the same masks by our definition and by two other packages', per class."""
    ours: list[list[float]] = [[] for _ in kept.dataset.classes]
    theirs: list[list[tuple[float, float]]] = [[] for _ in kept.dataset.classes]
    test = kept.dataset.samples("test")
    for sample, guess in track(scoring.pairs(kept.folder, "test", test), "measuring", len(test)):
        assert isinstance(sample.target, Masks) and isinstance(guess, Masks)
        for c, (truth, found) in enumerate(zip(sample.target.planes, guess.planes, strict=True)):
            mine, other = measure_distances(truth, found), pixel_hd95(truth, found)
            if mine is not None and other is not None:
                ours[c].append(mine.hausdorff(0.95))
                theirs[c].append((other.monai, other.medpy))
    lines = []
    for label, own, others in zip(kept.dataset.classes, ours, theirs, strict=True):
        means = [np.mean(own), *np.mean(others, axis=0)] if own else []
        lines.append(
            [label, *(f"{value:.2f}" for value in means), *["–"] * (3 - len(means)), str(len(own))]
        )
    header = ["HD95, px", "usbench", "as MONAI", "as MedPy", "images"]
    table("three definitions of one name", header, lines)


def show_implantability(found: implant.Implantability | None, key: str) -> None:
    """The score, its parts, and what stands in for those that the paper leaves open."""
    if found is None:
        say(
            f"implantability: not measured; scripts/bench_models.py {key} --save measures speed and load"
        )
        return
    parts = [f"{value:.3f}" for value in (found.score, found.map50, found.speed, found.load)]
    table("implantability", ["score", "mAP50", "FPS / fastest", "load"], [parts])
    say(f"implantability: {implant.WORDS}")


def as_json(
    scores: Scores,
    record: Mapping[str, Any],
    groups: int,
    implanted: implant.Implantability | None = None,
) -> str:
    """Every rule's figures."""
    rules = {
        ruled.name: {
            "version": ruled.version,
            "description": ruled.description,
            "target_score": report.figures(ruled.target_score, groups),
            "scores": report.figures(ruled.scores, groups),
            "per_class": {
                name: report.figures(part, groups) for name, part in ruled.per_class.items()
            },
        }
        for ruled in scores.protocols
    }
    facts = {name: record[name] for name in ("dataset", "task", "model", "seed", "run_id")}
    extra = {"implantability": {"score": implanted.score, **asdict(implanted)}} if implanted else {}
    return (
        json.dumps(
            {**facts, "rules": rules, **extra}, indent=1, ensure_ascii=False, allow_nan=False
        )
        + "\n"
    )


def explain(options: argparse.Namespace) -> int:
    """Score, show, write; the exit code."""
    path = results.named(options.result, options.results)
    record = results.load(path)
    kept = stored(record, options.runs)
    scores = by_every_rule(kept)
    words = (
        record["dataset"],
        record["model"],
        f"seed {record['seed']}",
        options.label or "all classes",
    )
    show(scores, kept.dataset.task, options.label, " · ".join(words))
    if kept.dataset.task == "segment" and options.label is None:
        show_distances(kept)
    implanted = None
    if kept.dataset.task == "detect" and options.label is None:
        beside = [results.load(other) for other in sorted(path.parent.glob("*.json"))]
        implanted = implant.implantability(record, beside)
        show_implantability(implanted, record["run_id"])
    if options.json:
        groups = len({part.group for part in kept.dataset.records["test"]})
        with replacing(options.json) as part:
            part.write_text(as_json(scores, record, groups, implanted), encoding="utf-8")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code: 0, 1 where the run or its data aren't there, 2 for a wrong class."""
    options = arguments(argv)
    return exit_code(lambda: explain(options))


if __name__ == "__main__":
    sys.exit(main())
