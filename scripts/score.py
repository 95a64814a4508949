"""Score what others predicted, by the same scorers that runs are scored by. Nothing of torch is loaded.

    python scripts/score.py segment --truth DIR --predictions DIR --classes nerve,vessel [--spacing-mm ROW,COLUMN]
    python scripts/score.py detect --truth gt.json --predictions dt.json        COCO ground truth and results
    python scripts/score.py detect --truth DIR --predictions DIR [--classes …]  folders of YOLO txt
    python scripts/score.py landmark --truth labels.json --predictions labels.json       Unity label JSON

    python scripts/score.py segment --dataset usgra --data DIR --predictions DIR --name "our model"

The last enters the leaderboard as an external row, scored on the test split of a dataset. Masks are index PNGs of one
stem, 0 = background. A truth without a prediction is scored as nothing found, and counted; --strict refuses it. --group
says which images belong together (its first group in the name): intervals resample those.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from usbench.cli.overrides import composed, exit_code
from usbench.errors import ConfigError
from usbench.evaluate import coco as instances
from usbench.evaluate import external
from usbench.evaluate import files as outside
from usbench.io.console import say, table, track, warn
from usbench.io.files import replacing
from usbench.metrics.detect_scorer import DetectScorer
from usbench.metrics.landmark_scorer import LandmarkScorer
from usbench.metrics.scores import Scorer, Scores
from usbench.metrics.segment_scorer import SegmentScorer
from usbench.results import store as results
from usbench.runner import config as cell
from usbench.runner import records, report

MODEL = {
    "segment": "unet",
    "detect": "yolov8",
    "landmark": "heatmap",
}  # none is built: only its task counts
BY_AREA = ("_small", "_medium", "_large")
PLAIN = ("hd", "hd95", "assd")  # with --spacing-mm, in mm, also by these names


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tasks = parser.add_subparsers(dest="task", required=True, metavar="segment|detect|landmark")
    for name in ("segment", "detect", "landmark"):
        task = tasks.add_parser(name, help=f"see python scripts/score.py {name} --help")
        given = task.add_mutually_exclusive_group(required=True)
        given.add_argument("--truth", type=Path, metavar="PATH", help="what is right")
        given.add_argument(
            "--dataset", metavar="NAME", help="a dataset of ours: score its test split"
        )
        task.add_argument("--name", metavar="NAME", help="with --dataset: what the row is called")
        task.add_argument(
            "--data", type=Path, metavar="DIR", help="with --dataset: the folder of releases"
        )
        task.add_argument(
            "--results", type=Path, metavar="DIR", help="with --dataset: default: results"
        )
        task.add_argument("--runs", type=Path, metavar="DIR", help="with --dataset: default: runs")
        task.add_argument("--predictions", type=Path, required=True, metavar="PATH")
        task.add_argument(
            "--strict", action="store_true", help="refuse a truth without a prediction"
        )
        task.add_argument(
            "--group",
            metavar="REGEX",
            help="its first group, found in an image's name, is its group",
        )
        task.add_argument(
            "--rule",
            action="append",
            metavar="NAME",
            help="the protocol, and further rules; may be repeated",
        )
        task.add_argument("--json", type=Path, metavar="FILE", help="write every figure and case")
        if name != "landmark":
            task.add_argument(
                "--classes",
                default="",
                metavar="a,b",
                help="names of index 1, 2, … (YOLO: 0, 1, …)",
            )
        if name == "segment":
            task.add_argument(
                "--spacing-mm", metavar="ROW,COLUMN", help="the length of a pixel's sides"
            )
            task.add_argument(
                "--tolerance-mm", type=float, metavar="MM", help="of the surface Dice in mm"
            )
            task.add_argument(
                "--tolerance-px", type=float, metavar="PX", help="of the surface Dice in px (2)"
            )
            task.add_argument(
                "--ignore",
                type=int,
                metavar="VALUE",
                help="truth pixels of this value count nowhere",
            )
    options = parser.parse_args(argv)
    alone = [
        name for name in ("name", "data", "results", "runs") if getattr(options, name) is not None
    ]
    if options.truth and alone:
        parser.error(f"--{alone[0]} goes with --dataset")
    if options.dataset and not options.name:
        parser.error("--dataset wants --name: what the row is called")
    return options


def pairs_of(options: argparse.Namespace) -> outside.Pairs:
    """The images that the options name."""
    classes = [name for name in getattr(options, "classes", "").split(",") if name]
    if options.task == "segment":
        pairs = outside.masks(
            options.truth, options.predictions, classes, options.ignore, options.strict
        )
    elif options.task == "landmark":
        pairs = outside.landmarks(options.truth, options.predictions, options.strict)
    else:
        pairs = outside.yolo(options.truth, options.predictions, classes, options.strict)
    pairs.group = outside.grouping(options.group)
    return pairs


def scorer_of(options: argparse.Namespace, classes: Sequence[str]) -> Scorer:
    """The task's scorer with the rules that were asked for."""
    rules = {"protocols": options.rule} if options.rule else {}
    if options.task == "segment":
        tolerances = {"tolerance_px": options.tolerance_px, "tolerance_mm": options.tolerance_mm}
        return SegmentScorer(classes, **rules, **tolerances)
    return (
        DetectScorer(classes, **rules)
        if options.task == "detect"
        else LandmarkScorer(classes, **rules)
    )


def spacing_of(options: argparse.Namespace) -> tuple[float, float] | None:
    """(row, column) mm per px; ConfigError for anything but two lengths."""
    text = getattr(options, "spacing_mm", None)
    if text is None:
        return None
    try:
        row, column = (float(side) for side in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--spacing-mm {text}: two lengths, row,column, were wanted") from error
    if not (0 < row < 1e3 and 0 < column < 1e3):
        raise ConfigError(f"--spacing-mm {text}: two lengths above 0 were wanted")
    return row, column


def facts(
    options: argparse.Namespace, pairs: outside.Pairs, scores: Scores, primary: str, mm: bool
) -> dict[str, Any]:
    """What the JSON holds: the keys of a result record, and the cases."""
    groups = len({row["group"] for row in scores.cases})
    made = records.scored(scores, primary, groups, scores.protocol.description)
    if mm:
        for figures in (made["scores"], *made["per_class"].values()):
            plain = {name: figures[f"{name}_mm"] for name in PLAIN}
            figures |= {**plain, "nsd": figures["nsd_mm"]}
    if not pairs.areas:
        for figures in (made["scores"], made["target_score"], *made["per_class"].values()):
            for name in [name for name in figures if name.endswith(BY_AREA)]:
                del figures[name]
    data = {"images": len(pairs), "groups": groups, "missing": pairs.missing}
    return {
        "task": options.task,
        "classes": list(pairs.classes),
        **made,
        "data": data,
        "cases": scores.cases,
    }


def show(made: Mapping[str, Any]) -> None:
    """A table per class, and the rules in words."""
    names = [name for name in report.SHOWN[made["task"]] if name in made["scores"]]
    lines = [
        [label, *(report.cell_of(figures, name) for name in names)]
        for label, figures in made["per_class"].items()
    ]
    lines.append(["all classes", *(report.cell_of(made["scores"], name) for name in names)])
    lines.append(["95 %", *(report.bounds(made["scores"], name) for name in names)])
    lines.append(["target_score", *(report.cell_of(made["target_score"], name) for name in names)])
    data = made["data"]
    table(
        f"{made['task']}: {data['images']} images, {data['groups']} groups",
        ["class", *names],
        lines,
    )
    say(
        f"protocol {made['protocol']['name']} v{made['protocol']['version']}: {made['protocol']['words']}"
    )
    for name, other in made["protocols"].items():
        shown = "  ".join(
            f"{key} {report.cell_of(other['scores'], key)}" for key in other["scores"]
        )
        say(f"by the rule {name}: {shown}")


def enter(options: argparse.Namespace) -> int:
    """Score on a dataset's test split, and keep the row; the exit code."""
    words = [f"dataset={options.dataset}", f"model={MODEL[options.task]}", "tracking=none"]
    words += [
        f"{key}={getattr(options, key)}"
        for key in ("data", "results", "runs")
        if getattr(options, key)
    ]
    resolved = cell.resolve(composed(words, None, "score"))
    path, scores, missing = external.enter(
        resolved, options.predictions, options.name, options.strict
    )
    made = results.load(path)
    images = made["predictions"]["n"]
    groups = made["scores"][made["primary"]["name"]]["groups"]
    show({**made, "data": {"images": images, "groups": groups}})
    tell_missing(missing, images)
    say(f"result: {path}; python scripts/leaderboard.py puts it on the board")
    if options.json:
        write(options.json, {**made, "cases": scores.cases})
    return 0


def tell_missing(missing: Sequence[str], images: int) -> None:
    """That some images weren't predicted."""
    if missing:
        warn(
            f"{len(missing)} of {images} images have no prediction (first {missing[0]!r}): scored as nothing found"
        )


def write(path: Path, made: Mapping[str, Any]) -> None:
    """As JSON, whole or not at all."""
    with replacing(path) as part:
        part.write_text(
            json.dumps(made, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )


def score_coco(options: argparse.Namespace) -> int:
    """COCO's own files, boxes or masks; the exit code."""
    if options.rule not in (None, [instances.RULE.name]):
        raise ConfigError(
            f"--rule: COCO's files are scored by {instances.RULE.name}; others take folders of YOLO txt"
        )
    found = instances.read(options.truth, options.predictions, options.strict)
    scores = instances.score(found, outside.grouping(options.group))
    groups = len({row["group"] for row in scores.cases})
    made = {
        **{"task": "detect", "classes": list(found.classes)},
        **records.scored(scores, "map50_95", groups, scores.protocol.description),
        "data": {"images": len(found.cases), "groups": groups, "missing": found.missing},
        "cases": scores.cases,
    }
    show(made)
    tell_missing(found.missing, len(found.cases))
    if options.json:
        write(options.json, made)
    return 0


def score(options: argparse.Namespace) -> int:
    """Read, score, show, write; the exit code."""
    if options.dataset:
        return enter(options)
    if options.task == "detect" and not options.truth.is_dir():
        return score_coco(options)
    spacing, pairs = spacing_of(options), pairs_of(options)
    scorer = scorer_of(options, pairs.classes)
    for pair in track(pairs, "scoring", len(pairs)):
        size = None if options.task == "landmark" else pair.size
        scorer.update(pair.case, pair.group, pair.truth, pair.prediction, size, spacing)
    made = facts(options, pairs, scorer.result(), scorer.primary, spacing is not None)
    show(made)
    if not pairs.areas:
        say(
            "note: sides are fractions of the image, so there are no figures by the boxes' area in px"
        )
    tell_missing(pairs.missing, len(pairs))
    if options.json:
        write(options.json, made)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for files that can't be scored, 2 for wrong options."""
    options = arguments(argv)
    return exit_code(lambda: score(options))


if __name__ == "__main__":
    sys.exit(main())
