"""Agreement of two annotators: one's drawings scored against the other's, as models are scored.

It is no upper bound for a model: one trained on an annotator's drawings may follow that annotator
more closely than another person does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from usbench.datasets.config import DatasetConfig
from usbench.errors import ConfigError
from usbench.io.console import track
from usbench.io.files import file_sha256
from usbench.metrics.bootstrap import draw, resample_means
from usbench.metrics.intervals import measure_spread
from usbench.metrics.mask_overlap import dice, stack_counts
from usbench.metrics.ratios import mean_defined
from usbench.metrics.scores import ProtocolScores, Scores, class_figures, class_mean
from usbench.metrics.segment_scorer import SegmentScorer
from usbench.results.build import build_result, report_scores
from usbench.results.format import format_with_interval
from usbench.results.measure_table import without_measures
from usbench.results.result import Data, Result
from usbench.results.strata import strata_of
from usbench.runner.facts import new_result
from usbench.types import Layout, Masks, Record

NAME = "human-agreement"  # the row's
BOTH = "dice_both_drawn"  # a class counts where both have drawn it


@runtime_checkable
class TwoAnnotators(Protocol):
    """A layout whose release holds two people's drawings of the same images."""

    classes: tuple[str, ...]
    drawings: tuple[str, ...]  # the annotators' label files, relative to the root

    def agreements(self, root: Path) -> Iterator[tuple[Record, Masks, Masks]]:
        """(record, one's masks, the other's) of every image."""
        ...

    def oddities(self) -> dict[str, int]:
        """What in the label files isn't taken as it is written → how many; after a reading."""
        ...


@dataclass(frozen=True)
class AnnotatorAgreement:
    """The second annotator's drawings scored against the first's."""

    scores: Scores
    sha256: str  # of the drawings that were compared
    records: tuple[Record, ...]  # of the images


def as_two_annotators(layout: Layout, dataset: str) -> TwoAnnotators:
    """The layout, if its release has two annotators.

    Raises:
        ConfigError: it has one.
    """
    if not isinstance(layout, TwoAnnotators):
        raise ConfigError(
            f"dataset={dataset}: expected a dataset of two annotators, such as kidney"
        )
    return layout


def drawings_fingerprint(layout: TwoAnnotators, root: Path) -> str:
    """sha256 over the label files' names and bytes."""
    lines = [f"{name}\t{file_sha256(root / name)}" for name in layout.drawings]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def score_agreement(
    layout: TwoAnnotators,
    root: Path,
    protocols: Sequence[str],
    measures: Mapping[str, object] | None = None,
) -> AnnotatorAgreement:
    """Score the annotators' agreement: the first is the target, the second the prediction.

    Args:
        root: the release's folder.
        protocols: the reporting one first; it also has the Dice of the images where both have
            drawn the class.
        measures: clinical measurements, by name.
    """
    scorer = SegmentScorer(layout.classes, protocols, measures=measures)
    digest, records = hashlib.sha256(), []
    for record, first, second in track(layout.agreements(root), "comparing", None):
        if first.known is not None and second.known is not None:
            # what either annotator hasn't drawn is unknown
            first = replace(first, known=first.known & second.known)
        scorer.update(record.id, record.group, first, second, mm_per_px=record.mm_per_px)
        records.append(record)
        for masks in (first, second):
            digest.update(repr((record.id, masks.planes.shape)).encode())
            digest.update(np.packbits(masks.planes).tobytes())
    scores = scorer.result()
    reported = (add_both_drawn(scores.protocol, scorer), *scores.protocols[1:])
    return AnnotatorAgreement(
        replace(scores, protocols=reported), digest.hexdigest(), tuple(records)
    )


def add_both_drawn(protocol: ProtocolScores, scorer: SegmentScorer) -> ProtocolScores:
    """The protocol with the Dice of the images where both annotators have drawn the class."""
    table = stack_counts(scorer.native_counts, len(scorer.classes))  # (N, C, 3): tp, fp, fn
    draws = draw(scorer.groups)
    both = (table[..., 0] + table[..., 1] > 0) & (table[..., 0] + table[..., 2] > 0)
    values = np.where(both, dice(table), np.nan)
    spread = measure_spread(lambda draws: resample_means(values, draws), draws, "share")
    class_means = np.array([mean_defined(column) for column in values.T])
    reason = "no image where both have drawn it"
    figures = class_figures(class_means, both, reason, spread, draws)
    per_class = dict(protocol.per_class)
    for name, figure in zip(scorer.classes, figures, strict=True):
        per_class[name] = {**per_class[name], BOTH: figure}
    total = class_mean(mean_defined(values, 0), both, spread=spread, draws=draws)
    return replace(protocol, scores={**protocol.scores, BOTH: total}, per_class=per_class)


def agreement_result(
    dataset: DatasetConfig, agreement: AnnotatorAgreement, fingerprint: str, phantom: bool
) -> Result:
    """The agreement's result: an unranked row of the leaderboard.

    Args:
        fingerprint: of the label files, see `drawings_fingerprint`.
    """
    scores, images = agreement.scores, len(agreement.records)
    groups = len({row["group"] for row in scores.cases})
    view = dataset.views["segment"]
    measures = view.measures or {}
    classes = list(scores.protocol.per_class)
    strata = strata_of(scores, "dice", "segment", classes, {}, dataset.strata, agreement.records)
    undrawn = view.layout.get("undrawn", "absent")
    description = (
        f"{scores.protocol.description}; annotator 1 as the truth, 2 as the prediction; "
        f"a class that isn't drawn is {undrawn}"
    )
    facts = new_result("cpu")(
        dataset=dataset.name,
        task="segment",
        origin="human",
        model=NAME,
        run_id=hashlib.sha256(f"{fingerprint}\n{agreement.sha256}".encode()).hexdigest()[:12],
        data=Data(
            fingerprint,
            {"test": images},
            phantom,
            splits=f"annotator 1 against 2 on all {images} images of {groups} groups, "
            "whatever their split",
        ),
        config={"dataset": {"name": dataset.name}, "metric": {"measures": measures}},
    )
    reported = report_scores(scores, "dice", description)
    return build_result(facts, replace(reported, strata=strata))


def agreement_table(scores: Scores) -> tuple[list[str], list[list[str]]]:
    """(header, rows) of Dice by class and of all.

    The columns: the reporting protocol, the images where both have drawn, the last protocol.
    """
    reporting, *_, last = without_measures(scores.protocols)
    lines = []
    for label in [*reporting.per_class, "all classes"]:
        line = [label]
        for protocol, name in ((reporting, "dice"), (reporting, BOTH), (last, "dice")):
            figures = protocol.per_class.get(label, protocol.scores)
            line.append(format_with_interval(figures[name], name))
        lines.append(line)
    return ["Dice, 95 % interval", reporting.name, "both drawn", last.name], lines
