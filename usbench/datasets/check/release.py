"""Check a release: read every view, image and label; count, compare, find images that repeat.

Nothing stops at the first defect: each is a finding, and the check goes on with what can be read.
"""

from __future__ import annotations

import itertools
import operator
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from usbench.catalogue.cards import load_cards
from usbench.datasets import source, splits
from usbench.datasets.check.card_comparison import MeasuredRelease, compare_card
from usbench.datasets.check.counts import ClassCounts, compare_published
from usbench.datasets.check.duplicates import SimilarPair, correlate_tests, find_pairs
from usbench.datasets.check.findings import LEVELS, Finding, Level, finding_of_error
from usbench.datasets.check.images import ImageFacts, ImageSummary, examine_images, summarise
from usbench.datasets.check.leakage import (
    LeakRules,
    compare_annotations,
    find_leaks,
    find_unconfirmed,
    format_yaml,
    judge_correlations,
    judge_pairs,
)
from usbench.datasets.codecs.image import ImageError
from usbench.datasets.config import DatasetConfig
from usbench.datasets.dataset import index_release, require_fit
from usbench.errors import ConfigError, DataError, UsbenchError
from usbench.io.console import track
from usbench.types import SPLITS, Layout, Record, Split, Task

SET_OF = operator.attrgetter("image", "group", "split")  # what pairs depend on


@dataclass(frozen=True)
class ReleaseView:
    """One task of the release."""

    task: Task
    layout: Layout
    records: tuple[Record, ...]  # as the release has them
    run_records: tuple[Record, ...]  # the same, with the group and split that a run gives them


@dataclass
class CheckReport:
    """All that was found."""

    findings: list[Finding] = field(default_factory=list)
    images: ImageSummary = field(default_factory=ImageSummary)
    counts: dict[Task, ClassCounts] = field(default_factory=dict)
    pairs: dict[str, list[SimilarPair]] = field(default_factory=dict)  # by tasks that share them
    paste: str = ""  # lines for the dataset's YAML

    def number(self, level: str) -> int:
        """How many findings are of a level."""
        return sum(finding.level == level for finding in self.findings)


def check_release(
    dataset: DatasetConfig, root: Path, phantom: bool, tasks: Sequence[Task]
) -> CheckReport:
    """Check the views of a release.

    Args:
        dataset: its YAML.
        root: where the release lies.
        phantom: whether it is a phantom, about which nothing was published and nothing is known.
        tasks: the views.

    Raises:
        ConfigError: no view can be read with this configuration.
        DataError: the files of no view are there.
    """
    report = CheckReport()
    published = {} if phantom else dataset.published_counts
    if phantom:
        dataset = dataset.without_release()
    views = open_views(dataset, root, phantom, tasks, report)
    images, unreadable = examine_images(
        root, sorted({record.image for view in views for record in view.records})
    )
    report.findings += unreadable
    report.images = summarise(images.values())
    for view in views:
        report.findings += find_shared_images(view)
        report.findings += find_shared_groups(view)
        report.findings += find_groups_across_folds(view)
        counts = report.counts[view.task] = count_labels(view, root, images, report)
        report.findings += compare_published(
            published.get(view.task) or {}, counts, view.records, view.task
        )
        report.findings += find_absent_classes(view.task, counts)
        report.findings += find_lone_groups(dataset, view)
        report.findings += [
            Finding("note", "copy", f"{view.task}: {note}") for note in view.layout.notes(root)
        ]
        report.findings += [
            Finding("note", "oddity", f"{view.task}: {name}: {count}")
            for name, count in view.layout.oddities().items()
            if count
        ]
    find_all_pairs(dataset, root, views, images, report)
    if views and not phantom:
        report.findings += compare_with_card(dataset, views, report)
    # Without repeats: many records may meet one file's defect.
    report.findings = sorted(
        dict.fromkeys(report.findings), key=lambda finding: LEVELS.index(finding.level)
    )
    return report


def read_images(dataset: DatasetConfig, root: Path) -> dict[str, ImageFacts]:
    """The facts of every readable image of a release's views, by its path relative to the root.

    Raises:
        DataError: a view's files aren't there or can't be indexed.
    """
    layouts = [source.build_layout(dataset, task, phantom=False) for task in dataset.views]
    there = [layout for layout in layouts if (root / (layout.folder or "")).is_dir()]
    names = {record.image for layout in there for record in index_release(layout, root)}
    images, _ = examine_images(root, sorted(names))
    return images


def select_tasks(dataset: DatasetConfig, task: str) -> list[Task]:
    """The tasks that task=… asks for: all, or one; ConfigError for one the dataset doesn't have."""
    if task not in ("all", *dataset.views):
        raise ConfigError(
            f"task={task}: expected all or one of {', '.join(dataset.views)} ({dataset.name})"
        )
    return [view for view in dataset.views if task in ("all", view)]


# ---- views, groups and splits


def open_views(
    dataset: DatasetConfig,
    root: Path,
    phantom: bool,
    tasks: Sequence[Task],
    report: CheckReport,
) -> list[ReleaseView]:
    """Open the views whose files are there and can be indexed; the others are findings."""
    views: list[ReleaseView] = []
    errors: list[UsbenchError] = []
    for task in tasks:
        try:
            layout = source.build_layout(dataset, task, phantom)
            folder = root / (layout.folder or "")
            if not folder.is_dir():
                raise DataError(f"{folder}: expected the release's files here, found none")
        except UsbenchError as error:
            errors.append(error)
            level: Level = "warning" if isinstance(error, ConfigError) else "note"
            reason = finding_of_error("view", error, root).text
            report.findings.append(Finding(level, "view", f"{task}: not checked; {reason}"))
            continue
        try:
            records = index_release(layout, root)
        except DataError as error:
            report.findings.append(finding_of_error(f"index of {task}", error, root))
        else:
            run_records = assign_run_splits(dataset, task, records, root, report)
            views.append(ReleaseView(task, layout, records, run_records))
    if len(errors) == len(tasks):
        raise errors[0]
    return views


def assign_run_splits(
    dataset: DatasetConfig,
    task: Task,
    records: Sequence[Record],
    root: Path,
    report: CheckReport,
) -> tuple[Record, ...]:
    """Give records the group and split of a run; without a split where no run has the image.

    Where the splits can't be assigned, records stay as the release has them. Every fold is tried.
    A group on two sides is an error; a fold that leaves a split empty, for want of groups, is a
    warning, since a run needn't take it.
    """
    split, name = dataset.split, dataset.name
    chosen: Iterable[Record] = records
    for fold in (None, *range(split.folds or 0)):
        part = "split" if fold is None else f"fold {fold}"
        level: Level = "error" if fold is None else "warning"
        try:
            divided = splits.divide(records, split, fold, root, name)
            level = "error"
            splits.require_separate_groups(divided, split, fold, name)
        except DataError as error:
            report.findings.append(finding_of_error(f"{part} of {task}", error, root, level))
        else:
            if fold is None:
                chosen = itertools.chain(*divided.values())
    by_id = {record.id: record for record in chosen}
    return tuple(by_id.get(record.id) or replace(record, split=None) for record in records)


def find_shared_groups(view: ReleaseView) -> Iterator[Finding]:
    """A warning for every two splits of the release that share groups; they stay as released."""
    by_split: dict[Split, list[Record]] = {split: [] for split in SPLITS}
    for record in view.records:
        if record.split is not None:
            by_split[record.split].append(record)
    for first, second in itertools.combinations(SPLITS, 2):
        shared = sorted(splits.find_crossing_groups(by_split, first, second))
        if shared:
            yield Finding(
                "warning",
                "group",
                f"{view.task}: {len(shared)} groups are in {first} and {second} of the release, "
                f"such as {shared[0]}; kept as released",
            )


def find_groups_across_folds(view: ReleaseView) -> Iterator[Finding]:
    """Whether the release's own folds keep groups together: tested once, and on one side of each.

    They are taken as released.
    """
    folds = max((len(record.folds) for record in view.records), default=0)
    tested: defaultdict[str, set[int]] = defaultdict(set)
    for record in view.records:
        tested[record.group] |= {n for n, split in enumerate(record.folds) if split == "test"}
    counts = {len(numbers) for numbers in tested.values()}
    if folds and counts == {1}:
        yield Finding("note", "group", f"{view.task}: every group is tested in exactly one fold")
    elif folds:
        several = sorted(group for group, numbers in tested.items() if 1 < len(numbers) < folds)
        if several:
            yield Finding(
                "warning",
                "group",
                f"{view.task}: groups tested in several folds: {len(several)}, such as "
                f"{several[0]}; kept as released",
            )
    for first, second in itertools.combinations(SPLITS, 2):
        shared = [
            len(
                {record.group for record in view.records if record.folds[fold] == first}
                & {record.group for record in view.records if record.folds[fold] == second}
            )
            for fold in range(folds)
        ]
        if any(shared):
            counts_by_fold = ", ".join(map(str, shared))
            text = f"{view.task}: groups in {first} and {second}, by fold: {counts_by_fold}"
            yield Finding("warning", "group", f"{text}; kept as released")


def find_shared_images(view: ReleaseView) -> Iterator[Finding]:
    """An error for every image file that is in two splits of a run.

    Records of two annotators may share an image, in one split.
    """
    owners: dict[str, Record] = {}
    for record in view.run_records:
        owner = owners.setdefault(record.image, record)
        if None not in (owner.split, record.split) and owner.split != record.split:
            yield Finding(
                "error",
                "identical across splits",
                f"{view.task}: {record.image} is {owner.id} in {owner.split} "
                f"and {record.id} in {record.split}",
            )


def find_lone_groups(dataset: DatasetConfig, view: ReleaseView) -> Iterator[Finding]:
    """A warning where nobody has said which of a user's own images belong together."""
    groups = {record.group for record in view.records}
    if dataset.options.get("group", "") is None and len(groups) == len(view.records) > 1:
        yield Finding(
            "warning",
            "group",
            f"{view.task}: every image is a group of its own; where several are of one patient or "
            "video, set dataset.group, or train and test share patients",
        )


# ---- labels


def find_absent_classes(task: Task, counts: ClassCounts) -> Iterator[Finding]:
    """A warning for every class that no label has."""
    for name, amount in zip(counts.classes, counts.amount.sum(axis=0), strict=True):
        if not amount:
            yield Finding("warning", "class", f"{task}: no image has {name}")


def count_labels(
    view: ReleaseView, root: Path, images: Mapping[str, ImageFacts], report: CheckReport
) -> ClassCounts:
    """Read and count every label; one that can't be read or doesn't fit its image is a finding."""
    counts = ClassCounts(tuple(view.layout.classes))
    for record in track(view.run_records, f"labels of {view.task}"):
        image = root / record.image
        try:
            target = view.layout.read(root, record)
            if record.image in images:
                size = images[record.image].size
                require_fit(target, size, root / (record.label or record.image), image)
        except UsbenchError as error:
            counts.add(record, None)
            is_of_image = isinstance(error, ImageError) and error.path == image
            if not is_of_image or record.image in images:  # else it is a finding already
                report.findings.append(finding_of_error(f"label of {view.task}", error, root))
        else:
            counts.add(record, target)
    return counts


# ---- against the catalogue


def compare_with_card(
    dataset: DatasetConfig, views: Sequence[ReleaseView], report: CheckReport
) -> Iterable[Finding]:
    """Compare what the catalogue's card says, and can be measured, with this copy."""
    cards = {card.key: card for card in load_cards().datasets}
    if dataset.name not in cards:
        return ()
    tables = [
        dict(zip(counts.classes, counts.present.sum(axis=0).tolist(), strict=True))
        for counts in report.counts.values()
    ]
    classes = sum(map(Counter, tables), Counter[str]())
    oddities = sum((Counter(view.layout.oddities()) for view in views), Counter[str]())
    pairs = list(itertools.chain(*report.pairs.values()))
    measured = MeasuredRelease(
        whole=set(report.counts) == set(dataset.views),
        images=report.images.images,
        sizes=report.images.sizes,
        classes=classes,
        leaks=len(find_leaks(pairs)),
        identical_pairs=len(
            {(pair.first.image, pair.second.image) for pair in pairs if pair.identical}
        ),
        oddities=oddities,
    )
    return compare_card(cards[dataset.name], measured)


# ---- the same image twice


def find_all_pairs(
    dataset: DatasetConfig,
    root: Path,
    views: Sequence[ReleaseView],
    images: Mapping[str, ImageFacts],
    report: CheckReport,
) -> None:
    """Find pairs in every set of images; views that divide them alike share one set."""
    view_sets: defaultdict[object, list[ReleaseView]] = defaultdict(list)
    for view in views:
        view_sets[tuple(map(SET_OF, view.run_records))].append(view)
    rules = LeakRules.of(dataset)
    for sharers in view_sets.values():
        tasks = ", ".join(view.task for view in sharers)
        first = sharers[0]
        pairs, inside = find_pairs(first.records, first.run_records, images)
        tested = sum(record.split == "test" for record in first.run_records)
        report.pairs[tasks] = pairs
        report.findings += judge_pairs(tasks, pairs, inside, tested, rules)
        correlations = correlate_tests(first.run_records, images)
        report.findings += judge_correlations(tasks, correlations, tested, rules)
        for view in sharers:
            report.findings += compare_annotations(view.task, view.layout, root, pairs)
        lines = format_yaml(pairs, rules, tested, correlations)
        report.paste = "\n".join(filter(None, [report.paste, lines]))
    if views:
        report.findings += find_unconfirmed(
            find_leaks(itertools.chain(*report.pairs.values())), rules
        )
