"""Check a release: images, labels, counts, groups, splits, and images that show the same.

    usbench check dataset=usgra [data=DIR | dataset.root=DIR]
                            [task=segment|detect|landmark|all] [--against DATASET]
                            [--json FILE] [--sheet FILE.png] [--config-dir DIR]
    usbench check --conformance dataset=mine [data=DIR | dataset.root=DIR] [--config-dir DIR]
    usbench check --dataset folder --images 'BUSI/{kind}/{id}.png'
                            --labels 'BUSI/{kind}/{id}_mask*.png' [--classes lesion] [--root DIR]

Every image is decoded and every label read, as a run would; nothing is changed. Pairs of images
that show the same are drawn side by side (runs/check/<dataset>-pairs.png). The exit code is 1 where
there are errors, pixel-identical images in two splits among them; what the dataset's YAML already
knows, a leak of the release's own split, is a warning. With --against, images that another dataset
has too are found as well. With --conformance, the dataset's layout is checked against the contract
of usbench.types.Layout instead, on these files: seconds, on some of the images. Everything else is
an override of the configuration, as in python -m usbench; --dataset NAME is the same as
dataset=NAME.

Of your own images and masks it also says what it understood: how many masks each image has, which
values they store and what those were taken for. It draws some images with their masks
(runs/check/<dataset>-masks.png) and ends with the command that trains on them. --images and
--labels are folders or patterns: {kind} and {id} are any text, * any text or none, {class} is the
class of the masks there, {group} the patient. They start at the working directory, or at --root.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from usbench.cli.check_folder import (
    class_overrides,
    draw_own_images,
    folder_overrides,
    own_images_to_json,
    run_command,
    show_own_images,
)
from usbench.cli.options import (
    Options,
    add_overrides,
    compose_for_verb,
    make_parser,
    run_verb,
    split_overrides,
    write_json,
)
from usbench.datasets import source
from usbench.datasets.check.conformance import RULES, ViewConformance, check_conformance
from usbench.datasets.check.contact_sheet import draw_pairs
from usbench.datasets.check.counts import counts_to_json, table_header, table_rows
from usbench.datasets.check.duplicates import SimilarPair
from usbench.datasets.check.findings import format_findings
from usbench.datasets.check.images import ImageSummary
from usbench.datasets.check.leakage import find_leaks, pair_to_json
from usbench.datasets.check.overlap import CommonImage, find_common_images, judge_overlap
from usbench.datasets.check.own_images import is_own_masks
from usbench.datasets.check.release import CheckReport, check_release, read_images, select_tasks
from usbench.datasets.config import DatasetConfig
from usbench.errors import ConfigError, DataError
from usbench.io.config import Composed
from usbench.io.console import say, table
from usbench.io.numbers import format_count
from usbench.types import Task

MOST = 20  # findings shown of one kind, lines to paste; the JSON has all
MOST_FAULTS = 5  # findings shown of one rule: the layout makes the same mistake everywhere
MOST_SIZES = 5  # of images; more are shown as a range


def locate_release(config: Composed, dataset: DatasetConfig) -> tuple[Path, bool]:
    """Find the files to check: (root, whether they are a phantom).

    Raises:
        DataError: nothing is there.
        ConfigError: source=phantom was asked for.
    """
    if config["source"] == "phantom":
        raise ConfigError(
            "source=phantom: expected files to check; usbench phantom writes some, "
            "dataset.root= names them"
        )
    real, root = source.locate(dataset, config["data"], "real" if dataset.released else "auto")
    if not root.is_dir():
        advice = "name its folder by dataset.root=DIR, or the folder above it by data=DIR"
        if dataset.phantom:
            advice += f"; usbench phantom dataset={dataset.name} --out {root} writes a phantom"
        raise DataError(f"{root}: expected files of {dataset.name} here, found none; {advice}")
    return root, not real or (root / source.MARK).is_file()


def check_against(
    options: Options, data: object, dataset: DatasetConfig, root: Path, report: CheckReport
) -> list[CommonImage]:
    """Find the images that the dataset named by --against has too, and report them."""
    other = compose_for_verb([f"dataset={options.against}"], options.config_dir, "check")
    node = DatasetConfig.from_mapping(other["dataset"])
    if node.name == dataset.name:
        raise ConfigError(f"--against {node.name}: expected another dataset than the checked one")
    other_root, _ = locate_release({**other, "data": data}, node)
    common = find_common_images(read_images(dataset, root), read_images(node, other_root))
    findings = judge_overlap(common, dataset.name, node.name, dataset.overlaps)
    report.findings += findings
    return common


def show_common(common: Sequence[CommonImage], name: str, other: str) -> None:
    """Show the first of the images that two datasets have in common."""
    rows = (
        (pair.first, pair.second, "identical" if pair.identical else f"{pair.correlation:.3f}")
        for pair in common[:MOST]
    )
    pairs = format_count(len(common), "pair")
    title = f"{pairs} of images that {name} and {other} have in common"
    table(title, (name, other, "r"), rows)


def show_report(report: CheckReport, name: str, root: Path) -> None:
    """Show tables and findings on stdout."""
    say(f"{name} at {root}")
    show_images(report.images)
    for task, counts in report.counts.items():
        table(task, table_header(counts, task), table_rows(counts, task))
    for tasks, pairs in report.pairs.items():
        if pairs:
            title = f"{tasks}: {len(pairs)} pairs that show the same"
            table(title, ("one", "other", "splits", "r", ""), map(pair_row, pairs[:MOST]))
    for line in format_findings(report.findings, MOST):
        say(line)
    if report.paste:
        lines = report.paste.splitlines()
        say("to be written into the dataset's YAML, if the pairs are what they seem:")
        for line in lines[: 2 * MOST]:
            say(f"  {line}")
        if len(lines) > 2 * MOST:
            say(f"  … and {len(lines) - 2 * MOST} more lines (--json FILE has all)")


def show_images(images: ImageSummary) -> None:
    """Show what the pixels say: number, grey levels, sizes."""
    if not images.images:
        return
    say(
        f"{format_count(images.images, 'image')}, {images.tinted} of them tinted (luma is read), "
        f"grey levels {images.darkest}..{images.brightest}"
    )
    rows = [(size, str(count)) for size, count in images.sizes.items()]
    if len(rows) <= MOST_SIZES:
        table("sizes", ("height × width", "images"), rows)
    else:
        sides = zip(*(map(int, size.split("×")) for size in images.sizes), strict=True)
        height, width = (f"{min(side)}–{max(side)}" for side in sides)
        most, count = rows[0]
        say(
            f"{len(rows)} sizes: {height} × {width} px (height × width), most often {most} ({count})"
        )


def pair_row(pair: SimilarPair) -> tuple[str, str, str, str, str]:
    """A pair as a row of the table."""
    figure = "identical" if pair.identical else f"{pair.correlation:.3f}"
    status = "known" if pair.is_known else "new"
    return pair.first.id, pair.second.id, " | ".join(pair.split_names), figure, status


def report_to_json(
    report: CheckReport, name: str, phantom: bool, contact_sheet: Path | None
) -> dict[str, object]:
    """Everything that was found as JSON's data."""
    leaking = set().union(*map(find_leaks, report.pairs.values()))
    return {
        "dataset": name,
        "phantom": phantom,
        "errors": report.number("error"),
        "warnings": report.number("warning"),
        "findings": list(map(vars, report.findings)),
        "images": asdict(report.images),
        "views": {task: counts_to_json(counts, task) for task, counts in report.counts.items()},
        "leaking": sorted(leaking),
        "pairs": {tasks: list(map(pair_to_json, pairs)) for tasks, pairs in report.pairs.items()},
        "paste": report.paste,
        "sheet": str(contact_sheet) if contact_sheet else None,
    }


def show_conformance(views: Mapping[Task, ViewConformance], name: str, root: Path) -> None:
    """Show what was looked at, every rule's outcome by task, and the findings."""
    say(f"{name} at {root}")
    for task, view in views.items():
        say(
            f"{task}: {format_count(view.images, 'image')}, targets of {view.read} read, "
            f"{format_count(view.written, 'sample')} written to a copy and read again"
        )
    rows = [
        (rule, text, *(view.outcome(rule) for view in views.values()))
        for rule, text in RULES.items()
        if any(rule in view.rules for view in views.values())
    ]
    table("rules of usbench.types.Layout", ("rule", "what it says", *views), rows)
    for task, view in views.items():
        findings = [replace(item, text=f"{task}: {item.text}") for item in view.findings]
        for line in format_findings(findings, MOST_FAULTS):
            say(line)


def conformance_to_json(
    views: Mapping[Task, ViewConformance], name: str, phantom: bool
) -> dict[str, object]:
    """Everything that was found as JSON's data."""
    return {
        "dataset": name,
        "phantom": phantom,
        "errors": count_findings(views, "error"),
        "warnings": count_findings(views, "warning"),
        "findings": [
            {"task": task, **vars(item)} for task, view in views.items() for item in view.findings
        ],
        "views": {
            task: {
                "images": view.images,
                "read": view.read,
                "written": view.written,
                "rules": {rule: view.outcome(rule) for rule in view.rules},
            }
            for task, view in views.items()
        },
    }


def count_findings(views: Mapping[Task, ViewConformance], level: str) -> int:
    """How many findings of all views are of a level."""
    return sum(view.number(level) for view in views.values())


def check(options: Options) -> int:
    """Check, show, draw, write; the exit code."""
    named = [f"dataset={options.dataset}"] if options.dataset else []
    pairs, rest = split_overrides(options.overrides, "task")
    overrides = [*named, *folder_overrides(options), *rest]
    config = compose_for_verb(overrides, options.config_dir, "check")
    dataset = DatasetConfig.from_mapping(config["dataset"])
    tasks = select_tasks(dataset, dict(pairs).get("task", "segment" if options.images else "all"))
    root, phantom = locate_release(config, dataset)
    if added := class_overrides(dataset, root):
        overrides += added
        config = compose_for_verb(overrides, options.config_dir, "check")
        dataset = DatasetConfig.from_mapping(config["dataset"])
    if options.conformance:
        views = {task: check_conformance(dataset, root, phantom, task) for task in tasks}
        show_conformance(views, dataset.name, root)
        write_json(options.json, conformance_to_json(views, dataset.name, phantom))
        return end(count_findings(views, "error"), count_findings(views, "warning"))
    own_images = show_own_images(dataset, root) if is_own_masks(dataset) else None
    report = check_release(dataset, root, phantom, tasks)
    common = (
        check_against(options, config["data"], dataset, root, report) if options.against else []
    )
    show_report(report, dataset.name, root)
    if common:
        show_common(common, dataset.name, options.against)
    default = Path(str(config["runs"])) / "check" / f"{dataset.name}-pairs.png"
    similar = sorted(itertools.chain(*report.pairs.values()), key=lambda pair: pair.rank)
    contact_sheet = (options.sheet or default) if similar else None
    if contact_sheet:
        attribution = None if phantom else dataset.attribution
        draw_pairs(similar, root, dataset.name, attribution, contact_sheet)
        say(f"the pairs side by side: {contact_sheet}")
    else:
        default.unlink(missing_ok=True)  # an earlier check's
    content = report_to_json(report, dataset.name, phantom, contact_sheet)
    content["common"] = list(map(vars, common))
    if own_images:
        drawn = default.with_name(f"{dataset.name}-masks.png")
        if draw_own_images(own_images, root, dataset.name, drawn):
            say(f"some images with their masks: {drawn}")
        content["own_images"] = own_images_to_json(own_images)
    write_json(options.json, content)
    errors = report.number("error")
    code = end(errors, report.number("warning"))
    if own_images and not phantom and not errors and "segment" in report.counts:
        counts = report.counts["segment"]
        say(f"to train on them: {run_command(overrides, counts, options.config_dir)}")
    return code


def end(errors: int, warnings: int) -> int:
    """Say how many there are; the exit code."""
    say(f"{format_count(errors, 'error')}, {format_count(warnings, 'warning')}")
    return 1 if errors else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command; its exit code: 0, 1 for errors in the release, 2 for a wrong command."""
    parser = make_parser(__doc__, "write everything that was found as JSON", "check")
    parser.add_argument("--dataset", metavar="NAME", help="the same as dataset=NAME")
    against = "another dataset, to find the images that both have"
    parser.add_argument("--against", metavar="DATASET", help=against)
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="where the pairs are drawn")
    conformance = "check the layout's contract instead"
    parser.add_argument("--conformance", action="store_true", help=conformance)
    for option, metavar, help_text in (
        ("images", "DIR|PATTERN", "of dataset=folder: your images"),
        ("labels", "DIR|PATTERN", "of dataset=folder: their masks"),
        ("classes", "NAME,…", "of dataset=folder: what the masks show"),
        ("root", "DIR", "the folder of the dataset, in which --images and --labels are"),
    ):
        parser.add_argument(f"--{option}", metavar=metavar, help=help_text)
    add_overrides(parser, "dataset=, data=, task=")
    options = parser.parse_intermixed_args(argv)
    if options.conformance and (options.against or options.sheet):
        parser.error("--conformance compares no images: leave --against and --sheet out")
    return run_verb(check, options)
