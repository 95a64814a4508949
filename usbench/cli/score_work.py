"""What `usbench score` does once its arguments are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from usbench.cli.options import FOLDERS, MODELS, Options, compose_for_verb, write_json
from usbench.errors import ConfigError
from usbench.evaluate import coco, external, files
from usbench.io.console import say, track, warn
from usbench.io.cores import count_cores
from usbench.io.numbers import format_count
from usbench.io.overrides import quote
from usbench.metrics.chunks import set_threads
from usbench.metrics.pairs import SCORERS, TWO_LENGTHS, is_spacing
from usbench.metrics.scores import Figures, ProtocolScores, Scorer, Scores
from usbench.results.build import report_scores
from usbench.results.format import format_with_interval
from usbench.results.measure_table import show_measures, without_measures
from usbench.results.result import protocols_to_json, to_json
from usbench.results.score_table import show_score_table
from usbench.runner.resolve import resolve_config
from usbench.types import Task

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
            values = files.class_values(options.values, classes)
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
    protocol, *others = without_measures(protocols)
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
    show_measures(protocols)
    if missing:
        warn(
            f"{len(missing)} of {images} images have no prediction (first {missing[0]!r}): "
            "scored as nothing predicted"
        )


def score_on_dataset(options: Options) -> None:
    """Score on a dataset's test split and save the row."""
    set_threads(count_cores())
    overrides = [f"dataset={options.dataset}", f"model={MODELS[options.task]}", "tracking=none"]
    for key in FOLDERS:
        if folder := getattr(options, key):
            overrides.append(f"{key}={folder}")
    if options.root:
        overrides.append(f"dataset.root={quote(str(options.root))}")
    config = resolve_config(
        compose_for_verb(overrides, options.config_dir, "score"), training=False
    )
    values = files.parse_values(options.values) or None
    row = external.score_external(config, options.predictions, options.name, options.strict, values)
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
    set_threads(count_cores())
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
