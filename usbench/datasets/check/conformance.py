"""Whether a dataset keeps the contract of `usbench.types.Layout`: a finding for each fault, named
after the rule that it breaks.

A user's layout may raise anything; that is a finding too. Files are only read: what a rule has to
change, it changes in a copy.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from usbench.datasets import source, splits
from usbench.datasets.check import copy_rules, record_rules
from usbench.datasets.check.findings import (
    LEVELS,
    Finding,
    Level,
    finding_of_error,
    finding_of_failure,
)
from usbench.datasets.check.round_trip import check_write, samples_to_write
from usbench.datasets.check.target_rules import check_target, same_target
from usbench.datasets.codecs import image
from usbench.datasets.config import DatasetConfig, SplitConfig
from usbench.datasets.dataset import Dataset
from usbench.errors import ConfigError, DataError, UsbenchError
from usbench.io.console import track
from usbench.types import Layout, Record, Sample, Task

RULES = {  # rule → what it says, in the order in which they are checked
    "layout": "a class that inherits from usbench.types.Layout",
    "index": "lists records, the same ones each time",
    "classes": "a tuple of different names, those of the YAML",
    "ids": "unique and sorted",
    "paths": "relative, with forward slashes, of files that exist",
    "facts": "split, folds, mm_per_px, attributes that an image can have",
    "lazy": "index decodes no image",
    "splits": "each has images; no group is in two splits of ours",
    "folds": "each image is tested once; no group is in two splits",
    "targets": "the view's type, with shapes, dtypes and labels that fit",
    "overlap": "no pixel has two classes of an exclusive view",
    "boxes": "inside the image, half-open",
    "landmarks": "points where the state is SEEN, and only there",
    "repeat": "reading an image again gives the same target",
    "fingerprint": "the same for a copy; changes with a byte of a file",
    "write": "written samples are read as they were",
}
INDEX_RULES = ("index", "classes", "ids", "paths", "facts")
OF_TASK: dict[str, Task] = {"overlap": "segment", "boxes": "detect", "landmarks": "landmark"}
READ = 30  # images whose target is read
WRITTEN = 6  # samples that are written and read again
HASHED = 2  # images per split whose files are hashed

MakeLayout = Callable[[], Layout]


@dataclass
class ViewConformance:
    """What was found of one view, and on how much."""

    rules: tuple[str, ...]  # that apply to it
    findings: list[Finding] = field(default_factory=list)
    checked: set[str] = field(default_factory=set)  # rules
    images: int = 0  # in the index
    read: int = 0  # targets
    written: int = 0  # samples

    def add(self, rules: Sequence[str], findings: Sequence[Finding]) -> bool:
        """Keep what was found by some rules; whether there is no error."""
        self.checked.update(rules)
        self.findings += dict.fromkeys(findings)
        return all(finding.level != "error" for finding in findings)

    def number(self, level: str) -> int:
        """How many findings are of a level."""
        return sum(finding.level == level for finding in self.findings)

    def outcome(self, rule: str) -> str:
        """Of a rule: ok, or its gravest finding's level, or not checked; "–" if it doesn't apply."""
        if rule not in self.rules:
            return "–"
        levels: list[Level] = [item.level for item in self.findings if item.kind == rule]
        if levels:
            return min(levels, key=LEVELS.index)
        return "ok" if rule in self.checked else "not checked"


def check_conformance(
    dataset: DatasetConfig, root: Path, phantom: bool, task: Task
) -> ViewConformance:
    """Check one view of a dataset against every rule.

    After an error in what `index` lists, nothing else is checked.

    Args:
        dataset: its YAML.
        root: where its files lie.
        phantom: whether they are a phantom, about which nothing of the release is known.
        task: the view.

    Raises:
        ConfigError: the layout can't be built from the YAML, or the split isn't possible.
    """
    if phantom:
        dataset = dataset.without_release()

    def make_layout() -> Layout:
        return source.build_layout(dataset, task, phantom)

    report = ViewConformance(list_rules(dataset.split, task))
    layout = make_layout()
    if not report.add(["layout"], record_rules.check_layout(layout)):
        return report
    found, records = check_index(make_layout, layout, dataset, task, root)
    report.images = len(records)
    if not report.add(INDEX_RULES, found):
        return report
    report.add(["lazy"], copy_rules.check_lazy(make_layout(), records, root))
    if dataset.split.folds:
        report.add(["folds"], check_folds(records, dataset.split, root, dataset.name))
    sampled = pick(records, READ)
    report.read = len(sampled)
    found = check_reading(make_layout, layout, dataset, task, sampled, root)
    is_readable = report.add(["targets", "repeat", *OF_TASK], found)
    found, opened = open_splits(dataset, task, layout, records, root)
    report.add(["splits"], found)
    if opened is not None:
        few = copy_rules.keep_few(opened, HASHED)
        report.add(["fingerprint"], copy_rules.check_fingerprint(few))
    if opened is not None and is_readable:
        found, report.written = check_writing(dataset, opened)
        report.add(["write"], found)
    return report


def list_rules(split: SplitConfig, task: Task) -> tuple[str, ...]:
    """The rules that apply to a view."""
    others = {rule for rule, of_task in OF_TASK.items() if of_task != task}
    if not split.folds:
        others.add("folds")
    return tuple(rule for rule in RULES if rule not in others)


def pick(records: Sequence[Record], most: int) -> list[Record]:
    """At most so many records, evenly over their order."""
    places = np.linspace(0, len(records) - 1, min(most, len(records))).round().astype(int)
    return [records[place] for place in places]


# ---- index


def check_index(
    make_layout: MakeLayout, layout: Layout, dataset: DatasetConfig, task: Task, root: Path
) -> tuple[list[Finding], list[Record]]:
    """(what is wrong with what `index` lists and with the classes then, the records).

    Args:
        make_layout: builds another layout of the same settings.
        layout: indexes the root.
        dataset: its YAML.
        task: the view's.
        root: of the release.
    """
    try:
        records = list(layout.index(root))
        listings = [list(layout.index(root)), list(make_layout().index(root))]
    except Exception as error:  # noqa: BLE001  (a user's layout may raise anything)
        return [finding_of_failure("index", error, root)], []
    found = record_rules.check_names(records, root)
    if found:
        return found, []
    for listing in listings:
        found += record_rules.check_same_records(records, listing)
    found += record_rules.check_classes(layout, dataset.views[task].classes)
    found += record_rules.check_ids(records)
    found += record_rules.check_paths(records, root)
    folds = dataset.split.folds if dataset.split.released_folds else None
    found += record_rules.check_facts(records, folds)
    return found, records


# ---- splits


def open_splits(
    dataset: DatasetConfig, task: Task, layout: Layout, records: Sequence[Record], root: Path
) -> tuple[list[Finding], Dataset | None]:
    """(what is wrong with the split of a run, the dataset divided so; None where it can't be)."""
    undivided = Dataset(
        name=dataset.name,
        task=task,
        classes=layout.classes,
        exclusive=dataset.views[task].exclusive,
        layout=layout,
        root=root,
        records={},
        indexed=tuple(records),
    )
    try:
        return [], undivided.with_fold(dataset.split, None)
    except DataError as error:
        return [finding_of_error("splits", error, root)], None


def check_folds(
    records: Sequence[Record], split: SplitConfig, root: Path, name: str
) -> list[Finding]:
    """Whether every fold has images and whole groups, and each image is tested once.

    A fold that leaves a split empty, for want of groups, is a warning: a run needn't take it. Folds
    of the release's own are taken as they are. Where runs of images are divided by a gap, the
    images in it are never tested.
    """
    found: list[Finding] = []
    tested: Counter[str] = Counter()
    for fold in range(split.folds or 0):
        try:
            divided = splits.divide(records, split, fold, root, name)
        except DataError as error:
            return [finding_of_error("folds", error, root, "warning")]
        try:
            splits.require_separate_groups(divided, split, fold, name)
        except DataError as error:
            found.append(finding_of_error("folds", error, root))
        tested.update(record.id for record in divided["test"])
    possible = {1} if split.gap is None else {0, 1}
    if split.released_folds:
        possible = {0, 1, split.folds or 0}  # all may test the same images
    wrong = [record.id for record in records if tested[record.id] not in possible]
    if wrong:
        level: Level = "warning" if split.released_folds else "error"
        got = f"{wrong[0]} in {tested[wrong[0]]} ({len(wrong)} such images)"
        found.append(Finding(level, "folds", f"expected each image tested in one fold, got {got}"))
    return found


# ---- read


def check_reading(
    make_layout: MakeLayout,
    layout: Layout,
    dataset: DatasetConfig,
    task: Task,
    records: Sequence[Record],
    root: Path,
) -> list[Finding]:
    """Errors of the targets of some records, each read several times.

    Args:
        make_layout: builds another layout of the same settings.
        layout: has indexed the root.
        dataset: its YAML.
        task: the view's.
        records: some of the release's.
        root: of the release.
    """
    found: list[Finding] = []
    again = make_layout()
    again.index(root)
    exclusive = dataset.views[task].exclusive
    for record in track(records, f"targets of {task}"):
        try:
            height, width = image.read_grey(root / record.image).shape
            targets = [reader.read(root, record) for reader in (layout, layout, again)]
        except UsbenchError as error:
            found.append(finding_of_error("targets", error, root))
        except Exception as error:  # noqa: BLE001
            text = finding_of_failure("targets", error, root).text
            found.append(Finding("error", "targets", f"{record.id}: {text}"))
        else:
            size = (height, width)
            found += check_target(targets[0], task, layout.classes, exclusive, record, size, root)
            if not all(same_target(targets[0], target) for target in targets[1:]):
                text = f"{record.id}: expected the same target each time, got others"
                found.append(Finding("error", "repeat", text))
    return found


# ---- write


def check_writing(dataset: DatasetConfig, opened: Dataset) -> tuple[list[Finding], int]:
    """(what is wrong with the layout's `write`, how many samples were written)."""
    if type(opened.layout).write is Layout.write:
        text = "the layout has no write; without it usbench can't draw phantoms in this format"
        return [Finding("note", "write", text)], 0
    named = dataset.with_classes(opened.task, opened.classes)
    layout = source.build_layout(named, opened.task, phantom=True)  # without known defects
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory(prefix="usbench-") as folder:
        root = Path(folder, opened.root.name)
        root.mkdir()
        try:
            samples, expected = samples_to_write(dataset, opened, WRITTEN)
            found = check_write(layout, samples, expected, root)
        except ConfigError as error:
            found = [Finding("note", "write", f"not checked: {error}")]
        except NotImplementedError:
            found = [Finding("note", "write", "the layout's write isn't implemented")]
        except Exception as error:  # noqa: BLE001
            found = [finding_of_failure("write", error, root)]
    return found, len(samples)
