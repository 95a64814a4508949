"""Agreement of two annotators: one's drawings scored against the other's, by the rules that models are scored by.

It is no target_score for a model: one trained on an annotator's drawings may follow that annotator more closely than another
person does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from usbench import __version__
from usbench.errors import ConfigError
from usbench.io.console import track
from usbench.metrics.bootstrap import draw, resample_means
from usbench.metrics.mask_overlap import dice, stack_counts
from usbench.metrics.ratios import mean_defined
from usbench.metrics.scores import Figure, ProtocolScores, Scores, with_interval
from usbench.metrics.segment_scorer import SegmentScorer
from usbench.results import store as results
from usbench.runner import machine, records
from usbench.types import Layout, Masks

NAME = "human-agreement"
BOTH = "dice_both_drawn"  # a class counts where both have drawn it


@runtime_checkable
class TwoAnnotators(Protocol):
    """A layout whose release holds two people's drawings of the same images."""

    classes: tuple[str, ...]
    drawings: tuple[str, ...]  # the annotators' label files, relative to the root

    def agreements(self, root: Path) -> Iterator[tuple[str, str, Masks, Masks]]:
        """(id, group, one's masks, the other's) of every image."""
        ...


def two_annotators(layout: Layout, dataset: str) -> TwoAnnotators:
    """The layout as one of two annotators; ConfigError where it has one."""
    if not isinstance(layout, TwoAnnotators):
        raise ConfigError(
            f"dataset={dataset}: a dataset drawn by two annotators was wanted; kidney is one"
        )
    return cast(TwoAnnotators, layout)


def fingerprint(layout: TwoAnnotators, root: Path) -> str:
    """sha256 over the label files' names and bytes."""
    lines = [
        f"{name}\t{hashlib.sha256((root / name).read_bytes()).hexdigest()}"
        for name in layout.drawings
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def score(layout: TwoAnnotators, root: Path, rules: Sequence[str]) -> tuple[Scores, str, int]:
    """(scores, sha256 of what was compared, images): the first annotator as the truth, the second as the prediction.

    The first rule is the protocol, and has also the Dice of the images where both have drawn the class.
    """
    scorer, digest = SegmentScorer(layout.classes, rules), hashlib.sha256()
    drawings = list(track(layout.agreements(root), "comparing", None))
    for case, group, one, other in drawings:
        if one.known is not None and other.known is not None:
            one = replace(
                one, known=one.known & other.known
            )  # what either hasn't drawn nobody knows
        scorer.update(case, group, one, other)
        for masks in (one, other):
            digest.update(repr((case, masks.planes.shape)).encode())
            digest.update(np.packbits(masks.planes).tobytes())
    scores = scorer.result()
    protocol = with_both_drawn(scores.protocol, scorer)
    return (
        Scores((protocol, *scores.protocols[1:]), scores.cases),
        digest.hexdigest(),
        len(drawings),
    )


def with_both_drawn(protocol: ProtocolScores, scorer: SegmentScorer) -> ProtocolScores:
    """The protocol's figures, and those of the images where both have drawn the class."""
    table, draws = stack_counts(scorer.native_counts, len(scorer.classes)), draw(scorer.groups)
    both = (table[..., 0] + table[..., 1] > 0) & (table[..., 0] + table[..., 2] > 0)
    values = np.where(both, dice(table), np.nan)
    resampled = resample_means(values, draws)
    total = Figure.of(float(mean_defined(mean_defined(values, 0))), len(table))
    per_class = {name: dict(figures) for name, figures in protocol.per_class.items()}
    for c, name in enumerate(scorer.classes):
        figure = Figure.of(
            float(mean_defined(values[:, c])),
            int(both[:, c].sum()),
            "no image where both have drawn it",
        )
        per_class[name][BOTH] = with_interval(figure, resampled[:, c], draws)
    scores = {**protocol.scores, BOTH: with_interval(total, mean_defined(resampled, 1), draws)}
    return ProtocolScores(
        protocol.name,
        protocol.version,
        protocol.description,
        scores,
        per_class,
        protocol.target_score,
    )


def record(
    dataset: Mapping[str, Any],
    scores: Scores,
    files: str,
    compared: str,
    images: int,
    phantom: bool,
) -> dict[str, Any]:
    """The result record: an unranked row of the board. files: their fingerprint; compared: sha256 of the drawings."""
    protocol, groups = scores.protocol, len({row["group"] for row in scores.cases})
    key = hashlib.sha256(f"{files}\n{compared}".encode()).hexdigest()[:12]
    undrawn = dataset["views"]["segment"]["layout"].get("undrawn", "absent")
    words = f"{protocol.description}; annotator 1 as the truth, 2 as the prediction; a class that isn't drawn is {undrawn}"
    return {
        **{
            "schema": 2,
            "dataset": dataset["name"],
            "task": "segment",
            "fold": None,
            "trained_on": None,
        },
        **{"origin": "human", "model": NAME, "recipe": None, "seed": None, "run_id": key},
        **{"status": "done", "reason": None},
        **records.scored(scores, "dice", groups, words),
        "data": {
            "fingerprint": files,
            "counts": {"test": images},
            "phantom": phantom,
            "leakage": None,
            "splits": f"annotator 1 against 2 on all {images} images of {groups} groups, whatever their split",
        },
        "config": {"dataset": {"name": dataset["name"]}},
        "code": machine.code_state(__version__),
        "machine": machine.describe(),
        **records.dated("cpu"),
    }


def save(folder: Path, made: Mapping[str, Any], scores: Scores, share: str) -> Path:
    """Write the record and its case table; its path."""
    return results.save(folder, made, results.mask_ids(scores.cases, share, str(made["dataset"])))


def shown(scores: Scores) -> tuple[list[str], list[list[str]]]:
    """(header, rows) of a table: Dice per class and of all by our rule, where both have drawn, and by the last rule."""
    protocol, own = scores.protocol, scores.protocols[-1]
    columns = [
        (protocol, "dice", protocol.name),
        (protocol, BOTH, "both drawn"),
        (own, "dice", own.name),
    ]
    lines = [
        [
            label,
            *(
                with_bounds(ruled.per_class.get(label, ruled.scores)[name])
                for ruled, name, _ in columns
            ),
        ]
        for label in [*protocol.per_class, "all classes"]
    ]
    return ["Dice, 95 % interval", *(title for *_, title in columns)], lines


def with_bounds(figure: Figure) -> str:
    """A figure and its interval, for a table."""
    if figure.value is None:
        return "–"
    value, low, high = (
        "" if x is None else f"{x:.3f}".removeprefix("0")
        for x in (figure.value, figure.low, figure.high)
    )
    return f"{value} {low}–{high}" if low else value
