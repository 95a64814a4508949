"""The story of a check: open every view, decode every image, read every label, count, compare, look for the same twice.

Nothing stops at the first defect: each is a finding, and the check goes on with what can still be read.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from usbench.datasets import source, splits
from usbench.datasets.config import DatasetConfig
from usbench.datasets.check import card as copies
from usbench.datasets.check import counts as tally
from usbench.datasets.check import duplicates
from usbench.datasets.check import images as pictures
from usbench.datasets.check import leakage as leaks
from usbench.datasets.check.findings import LEVELS, Finding, Level, refusal
from usbench.datasets.dataset import check_fit, check_sides, settle
from usbench.errors import ConfigError, DataError, UsbenchError
from usbench.io.console import track
from usbench.types import SPLITS, Boxes, Landmarks, Layout, Masks, Record, Target, Task

NEAR_KEYS = ("image", "group", "split")  # views whose records agree in these have the same pairs


@dataclass(frozen=True)
class View:
    """One task of the release."""

    task: Task
    layout: Layout
    records: tuple[Record, ...]  # as the release has them
    used: Mapping[str, Record]  # by id, with the group and split that a run gives them

    @property
    def settled(self) -> list[Record]:
        """Every record, in a run's group and split; without a split where no run has it."""
        return [self.used.get(record.id) or duplicates.unused(record) for record in self.records]


@dataclass
class Report:
    """All that was found."""

    findings: list[Finding] = field(default_factory=list)
    images: dict[str, Any] = field(default_factory=dict)
    tallies: dict[Task, tally.Tally] = field(default_factory=dict)
    pairs: dict[str, list[duplicates.Pair]] = field(
        default_factory=dict
    )  # by the tasks that share them
    paste: str = ""  # lines for the dataset's YAML

    def number(self, level: str) -> int:
        """How many findings are of a level."""
        return sum(finding.level == level for finding in self.findings)


def check(dataset: Mapping[str, Any], root: Path, drawn: bool, tasks: Sequence[Task]) -> Report:
    """Check the views of a release at root. drawn: a phantom, of which nothing was published and nothing is known.

    Raises ConfigError for a configuration that no view can be read by, DataError where the files of none are there.
    """
    report = Report()
    published = {} if drawn else dataset.get("published_counts") or {}
    if drawn:
        dataset = DatasetConfig.from_mapping(dataset).without_release().to_mapping()
    views = open_views(dataset, root, drawn, tasks, report)
    names = sorted({record.image for view in views for record in view.records})
    found, findings = pictures.look_at(root, names)
    report.images = pictures.summary(found)
    report.findings += findings
    for view in views:
        report.findings += [*sharing(view), *groups(view)]
        report.tallies[view.task] = counted(view, root, found, report)
        report.findings += tally.compare(
            published.get(view.task) or {}, report.tallies[view.task], view.records, view.task
        )
        report.findings += oddities(view)
    look_for_pairs(dataset, root, views, found, report)
    if not drawn:
        report.findings += against_card(dataset, views, report)
    once = dict.fromkeys(report.findings)  # one file's defect may be met by many records
    report.findings = sorted(once, key=lambda finding: LEVELS.index(finding.level))
    return report


# ---- views, groups and splits


def open_views(
    dataset: Mapping[str, Any], root: Path, drawn: bool, tasks: Sequence[Task], report: Report
) -> list[View]:
    """The views whose files are there and can be indexed; the others are findings."""
    views: list[View] = []
    reasons: list[UsbenchError] = []
    for task in tasks:
        try:
            layout = source.build_layout(DatasetConfig.from_mapping(dataset), task, drawn)
            require_folder(layout, root)
        except UsbenchError as reason:
            reasons.append(reason)
            level: Level = "warning" if isinstance(reason, ConfigError) else "note"
            report.findings.append(
                Finding(level, "view", f"{task}: not checked; {relative(reason, root)}")
            )
            continue
        try:
            records = layout.index(root)
        except DataError as wrong:
            report.findings.append(refusal(f"index of {task}", wrong, root))
            continue
        views.append(View(task, layout, tuple(records), used(dataset, task, records, root, report)))
    if len(reasons) == len(tasks):
        raise reasons[0]
    return views


def require_folder(layout: Layout, root: Path) -> None:
    """DataError where a layout has a folder of its own in the release, and it isn't there."""
    folder = getattr(layout, "folder", None)
    if isinstance(folder, str) and not (root / folder).is_dir():
        raise DataError(f"{root / folder}: its files were wanted here, found none")


def used(
    dataset: Mapping[str, Any], task: Task, records: list[Record], root: Path, report: Report
) -> dict[str, Record]:
    """The records as a run has them; where the splits can't be settled, as the release has them.

    Every fold is tried. A group on two sides is an error; a fold that leaves a split empty, for want of groups, is a
    warning, since a run needn't take it.
    """
    split, name = dataset["split"], dataset["name"]
    chosen = records
    for fold in (None, *range(int(split.get("folds") or 0))):
        kind = f"split of {task}" if fold is None else f"fold {fold} of {task}"
        level: Level = "error" if fold is None else "warning"
        try:
            settled = settle(
                splits.regroup(records, split.get("near_duplicates") or ()), split, fold, name
            )
            divided = splits.divide(settled, root, splits.sides(split))
            level = "error"
            check_sides(divided, split, fold, name)
        except DataError as wrong:
            report.findings.append(refusal(kind, wrong, root, level))
        else:
            chosen = settled if fold is None else chosen
    return {record.id: record for record in chosen}


def groups(view: View) -> list[Finding]:
    """A warning per two splits of the release that share groups: they are kept as they were released."""
    by_split = {
        split: [record for record in view.records if record.split == split] for split in SPLITS
    }
    findings = []
    for one, other in itertools.combinations(SPLITS, 2):
        crossed = sorted(splits.crossing(by_split, one, other))
        if crossed:
            text = f"{view.task}: {len(crossed)} groups are in {one} and {other} of the release, such as {crossed[0]}"
            findings.append(Finding("warning", "group", f"{text}; kept as released"))
    return findings


def sharing(view: View) -> Iterator[Finding]:
    """An error for an image file that two splits of a run have (two annotators' records share one, in one split)."""
    owner: dict[str, Record] = {}
    for record in view.settled:
        first = owner.setdefault(record.image, record)
        if None not in (first.split, record.split) and first.split != record.split:
            text = f"{view.task}: {record.image} is {first.id} in {first.split} and {record.id} in {record.split}"
            yield Finding("error", "identical across splits", text)


# ---- labels


def counted(
    view: View, root: Path, found: Mapping[str, pictures.Picture], report: Report
) -> tally.Tally:
    """Every label read and counted; one that can't be read, or doesn't fit its image, is a finding."""
    counts = tally.Tally(tuple(view.layout.classes))
    for record in track(view.settled, f"labels of {view.task}"):
        counts.add_image(record)
        try:
            target = view.layout.read(root, record)
            if record.image in found:
                check_fit(
                    target,
                    found[record.image].size,
                    root / (record.label or record.image),
                    root / record.image,
                )
        except UsbenchError as wrong:
            if record.image in found or not str(wrong).startswith(
                str(root / record.image)
            ):  # else it is known already
                report.findings.append(refusal(f"label of {view.task}", wrong, root))
        else:
            counts.add_truth(record, target)
    return counts


def oddities(view: View) -> list[Finding]:
    """Notes on what the layout took otherwise than written while it read."""
    told = told_by(view.layout)
    return [
        Finding("note", "oddity", f"{view.task}: {name}: {count}")
        for name, count in told.items()
        if count
    ]


def told_by(layout: Layout) -> dict[str, int]:
    """What a layout took otherwise than written → how many."""
    told = dict(layout.oddities()) if hasattr(layout, "oddities") else {}
    if isinstance(strays := getattr(layout, "strays", None), Mapping):
        told["pixels of no class colour, taken for the nearest"] = sum(strays.values())
    return told


# ---- against the catalogue


def against_card(
    dataset: Mapping[str, Any], views: Sequence[View], report: Report
) -> list[Finding]:
    """What the catalogue's card of the dataset says and can be measured, compared with this copy; [] without a card."""
    card = copies.card_of(dataset["name"])
    if card is None or not views:
        return []
    present: Counter[str] = Counter()
    for counts in report.tallies.values():
        present.update(
            dict(zip(counts.classes, map(int, counts.total(counts.present)), strict=True))
        )
    told = sum((Counter(told_by(view.layout)) for view in views), Counter[str]())
    pairs = [pair for found in report.pairs.values() for pair in found]
    twins = len({(pair.one.image, pair.other.image) for pair in pairs if pair.identical})
    whole, seen = set(report.tallies) == set(dataset["views"]), report.images
    facts = (whole, seen["images"], seen["sizes"], present, len(leaks.leaks(pairs)), twins, told)
    return copies.compare(card, copies.Copy(*facts))


# ---- the same image twice


def look_for_pairs(
    dataset: Mapping[str, Any],
    root: Path,
    views: Sequence[View],
    found: Mapping[str, pictures.Picture],
    report: Report,
) -> None:
    """Pairs of every set of images that a view, or several views, divide into splits in the same way."""
    sets: dict[tuple[tuple[str, ...], ...], list[View]] = {}
    for view in views:
        key = tuple(
            tuple(str(getattr(record, name)) for name in NEAR_KEYS) for record in view.settled
        )
        sets.setdefault(key, []).append(view)
    rules = leaks.Rules.of(dataset)
    leaking: set[str] = set()
    pastes = []
    for sharers in sets.values():
        tasks, first = ", ".join(view.task for view in sharers), sharers[0]
        pairs, inside = duplicates.find(first.records, first.used, found)
        tested = Counter(record.split for record in first.settled)["test"]
        report.pairs[tasks] = pairs
        report.findings += leaks.judge(tasks, pairs, inside, tested, rules)
        report.findings += [finding for view in sharers for finding in annotated(view, root, pairs)]
        pastes.append(leaks.to_paste(pairs, rules, tested))
        leaking |= leaks.leaks(pairs)
    report.paste = "\n".join(text for text in pastes if text)
    report.findings += leaks.unconfirmed(leaking, rules) if sets else []


def annotated(view: View, root: Path, pairs: Sequence[duplicates.Pair]) -> Iterator[Finding]:
    """A warning per two pixel-identical images: whether their labels are the same too."""
    for pair in pairs:
        if not pair.identical:
            continue
        try:
            one, other = (view.layout.read(root, record) for record in (pair.one, pair.other))
        except UsbenchError:  # a finding already
            continue
        apart = differing(one, other, view.layout.classes)
        told = f"annotated differently ({', '.join(apart)})" if apart else "annotated alike"
        yield Finding("warning", "identical", f"{view.task}: {leaks.words(pair)}, {told}")


def differing(one: Target, other: Target, classes: Sequence[str]) -> list[str]:
    """The classes in which two truths differ; the size, where masks have several."""
    if isinstance(one, Masks) and isinstance(other, Masks):
        if one.planes.shape != other.planes.shape:
            return ["size"]
        unlike = (one.planes != other.planes).any((1, 2))
    elif isinstance(one, Boxes) and isinstance(other, Boxes):
        unlike = np.array(
            [boxes_of(one, c) != boxes_of(other, c) for c in range(len(classes))], bool
        )
    elif isinstance(one, Landmarks) and isinstance(other, Landmarks):
        paths = zip(one.paths, other.paths, strict=True)
        unlike = (one.state != other.state) | np.array(
            [not np.array_equal(a, b) for a, b in paths], bool
        )
    else:
        return ["kind"]
    return [name for name, apart in zip(classes, unlike, strict=True) if apart]


def boxes_of(boxes: Boxes, label: int) -> list[list[float]]:
    """One class's boxes, sorted."""
    chosen: list[list[float]] = boxes.xyxy[boxes.labels == label].tolist()
    return sorted(chosen)


def relative(reason: UsbenchError, root: Path) -> str:
    """An error's words, paths relative to the root."""
    return refusal("", reason, root).text


def wanted_tasks(dataset: Mapping[str, Any], word: str) -> list[Task]:
    """task=all or one of the dataset's; ConfigError for another."""
    if word not in ("all", *dataset["views"]):
        raise ConfigError(
            f"task={word}: {dataset['name']} has {', '.join(dataset['views'])}; or take all"
        )
    return [task for task in dataset["views"] if word in ("all", task)]
