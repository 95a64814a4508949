"""Score others' predictions by the same scorers that runs are scored by. No torch is loaded.

    usbench score --task segment --targets DIR --predictions DIR --classes nerve,vessel
    usbench score --task segment --targets DIR --predictions DIR --values lesion=255
    usbench score --task detect --targets gt.json --predictions dt.json      COCO's files
    usbench score --task detect --targets DIR --predictions DIR              YOLO txt
    usbench score --task landmark --targets gt.json --predictions dt.json    Unity label JSON

    usbench score --task segment --dataset usgra --data DIR --predictions DIR --name "our model"

The last is scored on a dataset's test split and enters the leaderboard as an external row. Masks
are index PNGs of one stem, 0 = background. An image without a prediction is scored as one in which
nothing was predicted, and counted; --strict refuses it. --group says which images belong together
(its first group in the name): intervals resample those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from usbench.cli.options import (
    MODELS,
    Options,
    compose_for_verb,
    make_parser,
    run_verb,
    write_json,
)
from usbench.errors import ConfigError
from usbench.evaluate import coco, external, files
from usbench.io.console import say, track, warn
from usbench.io.numbers import format_count
from usbench.metrics.intervals import MIN_GROUPS
from usbench.metrics.pairs import IN_MM, SCORERS, TWO_LENGTHS, is_spacing
from usbench.metrics.scores import Figures, ProtocolScores, Scorer, Scores
from usbench.results.build import report_scores
from usbench.results.format import format_with_interval
from usbench.results.result import protocols_to_json, to_json
from usbench.results.score_table import show_score_table
from usbench.runner.resolve import resolve_config
from usbench.types import Task

FOLDERS = ("data", "results", "runs")
TASKS_OF: Mapping[str, Sequence[Task]] = {  # options that not every task takes
    "classes": ("segment", "detect"),
    "values": ("segment",),
    "spacing_mm": IN_MM,
    "tolerance_mm": ("segment",),
    "tolerance_px": ("segment",),
    "ignore": ("segment",),
}
OF_FILES = ("group", "protocol", *TASKS_OF)  # options that a dataset's own settings replace
BY_AREA = ("_small", "_medium", "_large")  # endings of scores by the boxes' area
PLAIN_NAMES = {"hd": "hd_mm", "hd95": "hd95_mm", "assd": "assd_mm", "nsd": "nsd_mm"}


@dataclass(frozen=True)
class ScoredFiles:
    """Scores of files, and which images they are of."""

    classes: tuple[str, ...]
    images: int
    missing: Sequence[str]  # images without a prediction
    scores: Scores
    primary: str


# ---- files


def open_pairs(options: Options) -> files.Pairs:
    """The images that the options name."""
    targets, predictions, strict = options.targets, options.predictions, options.strict
    if options.task == "landmark":
        pairs = files.pair_landmarks(targets, predictions, strict)
    else:
        classes = list(filter(None, (options.classes or "").split(",")))
        if options.task == "segment":
            values = files.parse_values(options.values) or files.number_classes(classes)
            pairs = files.pair_masks(targets, predictions, values, options.ignore, strict)
        else:
            pairs = files.pair_yolo(targets, predictions, classes, strict)
    return replace(pairs, group=files.compile_group(options.group))


def make_scorer(options: Options, classes: Sequence[str]) -> Scorer:
    """The task's scorer with the protocols that were asked for."""
    arguments: dict[str, object] = {"protocols": options.protocol} if options.protocol else {}
    if options.task == "segment":
        arguments["tolerance_px"] = options.tolerance_px
        arguments["tolerance_mm"] = options.tolerance_mm
    return SCORERS[options.task](classes, **arguments)


def parse_spacing(options: Options) -> tuple[float, float] | None:
    """(row, column) mm per px. Raises ConfigError for anything but two lengths."""
    text = options.spacing_mm
    if text is None:
        return None
    try:
        row, column = (float(side) for side in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--spacing-mm {text}: expected {TWO_LENGTHS}: row,column") from error
    if not is_spacing((row, column)):
        raise ConfigError(f"--spacing-mm {text}: expected {TWO_LENGTHS}")
    return row, column


def score_files(options: Options) -> ScoredFiles:
    """Score folders of masks or YOLO txt, or label JSON."""
    spacing, pairs = parse_spacing(options), open_pairs(options)
    scorer = make_scorer(options, pairs.classes)
    for pair in track(pairs, "scoring", len(pairs)):
        size = None if options.task == "landmark" else pair.size
        scorer.update(pair.case, pair.group, pair.target, pair.prediction, size, spacing)
    scores = scorer.result()
    if spacing is not None and options.task == "segment":
        scores = change_figures(scores, add_plain_names)
    if not pairs.has_areas:
        scores = change_figures(scores, drop_by_area)
    return ScoredFiles(pairs.classes, len(pairs), pairs.missing, scores, scorer.primary)


def score_coco(options: Options) -> ScoredFiles:
    """Score COCO's own files, boxes or masks."""
    if options.protocol not in (None, [coco.PROTOCOL.name]):
        raise ConfigError(
            f"--protocol: COCO's files are scored under {coco.PROTOCOL.name}; folders of YOLO txt "
            "under others too"
        )
    instances = coco.read_instances(options.targets, options.predictions, options.strict)
    scores = coco.score_instances(instances, files.compile_group(options.group))
    images = len(instances.cases)
    return ScoredFiles(instances.classes, images, instances.missing, scores, "map50_95")


def change_figures(scores: Scores, change: Callable[[Figures], Figures]) -> Scores:
    """The scores with other figures under the reporting protocol."""
    protocol, *others = scores.protocols
    return replace(scores, protocols=(protocol.with_figures(change), *others))


def add_plain_names(figures: Figures) -> Figures:
    """The figures with distances in mm also by their names without the unit."""
    added = {name: figures[in_mm] for name, in_mm in PLAIN_NAMES.items() if in_mm in figures}
    return {**figures, **added}


def drop_by_area(figures: Figures) -> Figures:
    """The figures without those by the boxes' area, which fractions of the sides don't tell."""
    return {name: figure for name, figure in figures.items() if not name.endswith(BY_AREA)}


# ---- what is printed and written


def show(
    task: Task,
    primary: str,
    protocols: Sequence[ProtocolScores],
    images: int,
    groups: int | None,
    missing: Sequence[str],
) -> None:
    """Print a table per class, the protocols' descriptions, and missing predictions."""
    protocol, *others = protocols
    sizes = [format_count(images, "image")]
    if groups is not None:
        sizes.append(format_count(groups, "group"))
    show_score_table(f"{task}: {', '.join(sizes)}", task, primary, protocol)
    say(f"protocol {protocol.name} {protocol.version}: {protocol.description}")
    for other in others:
        values = [
            f"{name} {format_with_interval(figure, name)}" for name, figure in other.scores.items()
        ]
        say(f"protocol {other.name} {other.version}: {', '.join(values)}")
    if groups is not None and groups < MIN_GROUPS:
        say(f"no intervals: expected {MIN_GROUPS} groups or more, got {groups}")
    if missing:
        warn(
            f"{len(missing)} of {images} images have no prediction (first {missing[0]!r}): "
            "scored as nothing predicted"
        )


def score_on_dataset(options: Options) -> None:
    """Score on a dataset's test split and save the row."""
    overrides = [f"dataset={options.dataset}", f"model={MODELS[options.task]}", "tracking=none"]
    for key in FOLDERS:
        if folder := getattr(options, key):
            overrides.append(f"{key}={folder}")
    config = resolve_config(compose_for_verb(overrides, None, "score"))
    row = external.score_external(config, options.predictions, options.name, options.strict)
    images = row.result.data.counts["test"]
    groups = count_groups(row.scores)
    show(
        options.task,
        str(config.metric["primary"]),
        row.result.protocols,
        images,
        groups,
        row.missing,
    )
    say(f"result: {row.path}; usbench leaderboard adds it to the leaderboard")
    write_json(options.json, {**row.result.to_json(), "cases": row.scores.cases})


def count_groups(scores: Scores) -> int:
    """The number of groups that the cases are of."""
    return len({row["group"] for row in scores.cases})


def score(options: Options) -> None:
    """Read, score, show, write."""
    is_coco = options.task == "detect" and not options.targets.is_dir()
    scored = score_coco(options) if is_coco else score_files(options)
    groups = count_groups(scored.scores)
    reported = report_scores(scored.scores, scored.primary)
    show(options.task, scored.primary, reported.protocols, scored.images, groups, scored.missing)
    if options.task == "detect" and not is_coco:
        say("note: sides are fractions of the image: no scores by the boxes' area in px")
    content = {
        "task": options.task,
        "classes": scored.classes,
        "primary": to_json(reported.primary),
        **protocols_to_json(reported.protocols),
        "data": {"images": scored.images, "groups": groups, "missing": scored.missing},
        "cases": scored.scores.cases,
    }
    write_json(options.json, content)


def parse_arguments(argv: list[str] | None) -> Options:
    """Parse the command line; an option that the task doesn't take is an error."""
    parser = make_parser(__doc__, "write every score and case", "score")
    add = parser.add_argument
    add("--task", choices=list(MODELS), required=True, help="what the files hold")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--targets", type=Path, metavar="PATH", help="the targets")
    group.add_argument("--dataset", metavar="NAME", help="a dataset of ours: its test split")
    add("--predictions", type=Path, required=True, metavar="PATH")
    add("--name", metavar="NAME", help="with --dataset: the name of the row")
    for folder in FOLDERS:
        add(f"--{folder}", type=Path, metavar="DIR", help=f"with --dataset: default: {folder}")
    add("--strict", action="store_true", help="refuse an image without a prediction")
    add("--group", metavar="REGEX", help="its first group, in an image's name, is its group")
    reporting = "the reporting protocol, then others; may be repeated"
    add("--protocol", action="append", metavar="NAME", help=reporting)
    add("--classes", metavar="a,b", help="segment, detect: class 1, 2, … (YOLO: 0, …)")
    add("--values", metavar="a=128,b=255", help="segment: the classes' values, if not 1, 2, …")
    add("--spacing-mm", metavar="ROW,COLUMN", help="segment, landmark: mm per px")
    add("--tolerance-mm", type=float, metavar="MM", help="segment: of the surface Dice in mm")
    add("--tolerance-px", type=float, metavar="PX", help="segment: of the surface Dice in px (2)")
    add("--ignore", type=int, metavar="VALUE", help="segment: target pixels that count nowhere")
    options = parser.parse_args(argv)
    for name, value in vars(options).items():
        option = f"--{name.replace('_', '-')}"
        if value is None:
            continue
        if options.targets and name in ("name", *FOLDERS):
            parser.error(f"{option} goes with --dataset")
        if options.dataset and name in OF_FILES:
            parser.error(f"{option} goes with --targets; a dataset has its own")
        if options.task not in TASKS_OF.get(name, MODELS):
            parser.error(f"{option} goes with --task {' or '.join(TASKS_OF[name])}")
    if options.classes is not None and options.values is not None:
        parser.error("--values names the classes; leave --classes out")
    if options.dataset and not options.name:
        parser.error("--dataset needs --name: the name of the row")
    return options


def main(argv: list[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for files that can't be scored, 2 for wrong options."""
    options = parse_arguments(argv)
    return run_verb(score_on_dataset if options.dataset else score, options)
