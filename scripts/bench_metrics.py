"""Scoring masks: ours against the packages that people use, same masks, one run, and ratios.

Overlap: Dice and IoU per class of ten-class masks of 690×275 (phantoms of `spinal`; the prediction
is the target moved), against torchmetrics' DiceScore and MeanIoU and MONAI's DiceMetric and
MeanIoU, each in the form that it takes. Distances: HD95, surface Dice and mean surface distance of
pairs of single structures of that size, against google-deepmind's surface-distance (the same
definition), MONAI, MedPy and mikan-rs (other definitions; the last two have no surface Dice). One
thread for all.

    python scripts/bench_metrics.py [--masks 1000] [--pairs 200] [--record] [--json FILE]
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAYON_NUM_THREADS", "1")  # mikan-rs

import medpy.metric.binary as medpy
import mikan  # type: ignore[import-untyped]
import numpy as np
import surface_distance
import torch
from monai import metrics as monai
from numpy.typing import NDArray
from scipy import ndimage
from torchmetrics.segmentation import DiceScore, MeanIoU

from scripts.record import Ratio, make_bench_parser, make_record, parse_options, save_record
from usbench.cli.options import add_numbers, time_call
from usbench.datasets.phantoms import phantom
from usbench.io.console import table, track
from usbench.metrics import mask_overlap, mask_protocols, outline_distances
from usbench.metrics.segment_scorer import SegmentScorer
from usbench.types import Masks

SIZE, CLASSES, DRAWN, TOLERANCE = (275, 690), 9, 20, 2.0
LABELS = list(map(str, range(CLASSES)))
PEERS = ("torchmetrics", "monai", "surface-distance", "medpy", "mikan-rs")
BLOCK = 100  # pairs that one package scores before the next takes its turn
Planes = NDArray[np.bool_]
Pair = tuple[Planes, Planes]  # target and prediction
Figures = dict[str, dict[str, float]]  # milliseconds a pair and a score, by package


def move(planes: Planes) -> Planes:
    """(…, H, W) by 3 rows and 5 columns; what leaves the image is lost."""
    moved = np.zeros_like(planes)
    moved[..., 3:, 5:] = planes[..., :-3, :-5]
    return moved


def draw_spinal() -> list[Pair]:
    """(C, H, W) twice: a target, and it moved."""
    spec = phantom.PhantomSpec("spinal", SIZE, {"test": DRAWN}, 0)
    pairs = []
    for sample in track(phantom.draw_samples(spec, "segment"), "drawing", DRAWN):
        assert isinstance(sample.target, Masks)
        pairs.append((sample.target.planes, move(sample.target.planes)))
    return pairs


def draw_structures(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """(H, W) twice: by turns a smooth blob, and a layer of the spinal phantom, thin and wide."""
    layers = []
    for masks in pairs:
        layers += [pair for pair in zip(*masks, strict=True) if all(map(np.any, pair))]
    rng = np.random.default_rng(0)
    blobs: list[Pair] = []
    for _ in range(DRAWN):
        field = ndimage.gaussian_filter(rng.normal(size=SIZE), 25)
        blob = field > np.quantile(field, rng.uniform(0.6, 0.9))
        blobs.append((blob, move(blob)))
    kinds = (blobs, layers)
    return [kinds[n % 2][n // 2 % len(kinds[n % 2])] for n in range(count)]


# ---- overlap


def score_overlap(pairs: Sequence[Pair]) -> float:
    """Ours: counts, then the protocol."""
    counts = np.stack([mask_overlap.count_pixels(*pair) for pair in pairs])
    protocol = mask_protocols.find_protocol("usbench")
    return mask_protocols.score_counts(protocol, counts, LABELS).scores["dice"].value or 0.0


def batches(pairs: Sequence[Pair]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(prediction, target) as one-hot tensors, 20 masks at a time."""
    for n in range(0, len(pairs), DRAWN):
        targets, predictions = map(np.stack, zip(*pairs[n : n + DRAWN], strict=True))
        yield torch.from_numpy(predictions), torch.from_numpy(targets)


def torchmetrics_overlap(pairs: Sequence[Pair]) -> float:
    """Two metrics, one-hot."""
    dice = DiceScore(CLASSES, average=None, aggregation_level="samplewise", input_format="one-hot")
    iou = MeanIoU(CLASSES, per_class=True, input_format="one-hot")
    for prediction, target in batches(pairs):
        dice.update(prediction.long(), target.long())
        iou.update(prediction.long(), target.long())
    iou.compute()
    return float(dice.compute().nanmean())


def monai_overlap(pairs: Sequence[Pair]) -> float:
    """Two metrics, one-hot."""
    dice = monai.DiceMetric(include_background=True, reduction="none", ignore_empty=True)
    iou = monai.MeanIoU(include_background=True, reduction="none", ignore_empty=True)
    for prediction, target in batches(pairs):
        dice(prediction, target)
        iou(prediction, target)
    iou.aggregate()
    return float(dice.aggregate().nanmean(0).nanmean())


# ---- distances: HD95 of a pair, with the other two


def score_distances(target: Planes, prediction: Planes) -> float:
    """Ours: all three of one pass."""
    distances = outline_distances.measure_distances(target, prediction)
    assert distances is not None  # neither is empty
    distances.surface_dice(TOLERANCE)
    distances.mean()
    return distances.hausdorff(0.95)


def deepmind_distances(target: Planes, prediction: Planes) -> float:
    """All three of one pass."""
    distances = surface_distance.compute_surface_distances(target, prediction, (1, 1))
    surface_distance.compute_surface_dice_at_tolerance(distances, TOLERANCE)
    surface_distance.compute_average_surface_distance(distances)
    return float(surface_distance.compute_robust_hausdorff(distances, 95))


def monai_distances(target: Planes, prediction: Planes) -> float:
    """Three functions."""
    pair = torch.from_numpy(prediction)[None, None], torch.from_numpy(target)[None, None]
    monai.compute_surface_dice(*pair, [TOLERANCE], include_background=True)
    monai.compute_average_surface_distance(*pair, include_background=True, symmetric=True)
    return float(monai.compute_hausdorff_distance(*pair, include_background=True, percentile=95))


def medpy_distances(target: Planes, prediction: Planes) -> float:
    """Two functions: it has no surface Dice."""
    medpy.assd(prediction, target)
    return float(medpy.hd95(prediction, target))


def mikan_distances(target: Planes, prediction: Planes) -> float:
    """Its distances of one pass. It fails on a single slice, so an empty one lies on each side."""
    volumes = (np.pad(planes.astype(np.uint8)[None], 1) for planes in (target, prediction))
    label = mikan.ArrayEvaluator(*volumes, (1.0, 1.0, 1.0)).labels(1)
    return float(label.metrics(["hausdorff_distance_95", "assd"])[0])


def mean_hd95(measure: Callable[[Planes, Planes], float], pairs: Sequence[Pair]) -> float:
    """Measure pair by pair."""
    return float(np.mean([measure(target, prediction) for target, prediction in pairs]))


# ---- everything


def score_all(pairs: Sequence[Pair]) -> float:
    """What a run does: every protocol's counts, all distances, rows, 1,000 resamples of scores."""
    scorer = SegmentScorer(LABELS)
    for n, (target, prediction) in enumerate(pairs):
        scorer.update(str(n), str(n // 4), Masks(target), Masks(prediction), SIZE)
    return scorer.result().protocol.scores["dice"].value or 0.0


OVERLAP = {"usbench": score_overlap, "torchmetrics": torchmetrics_overlap, "MONAI": monai_overlap}
DISTANCES = {
    "usbench": partial(mean_hd95, score_distances),
    "surface-distance": partial(mean_hd95, deepmind_distances),
    "MONAI": partial(mean_hd95, monai_distances),
    "MedPy": partial(mean_hd95, medpy_distances),
    "mikan-rs": partial(mean_hd95, mikan_distances),
}


def measure(
    title: str,
    packages: Mapping[str, Callable[[Sequence[Pair]], float]],
    pairs: Sequence[Pair],
    score: str,
) -> Figures:
    """Each package's milliseconds a pair and its score; the first is ours.

    The packages take turns, block by block: whatever else the machine does meets all alike.
    """
    for package in packages.values():  # a warm-up
        package(pairs[:2])
    figures: Figures = {name: {"ms": 0.0, score: 0.0} for name in packages}
    for start in track(range(0, len(pairs), BLOCK), title):
        block = pairs[start : start + BLOCK]
        for name, package in packages.items():
            seconds, value = time_call(package, block)
            figures[name]["ms"] += seconds / len(pairs) * 1000
            figures[name][score] += value * len(block) / len(pairs)
    ours = figures["usbench"]["ms"]
    rows = [
        [name, f"{row['ms']:.2f}", f"{row['ms'] / ours:.1f}", f"{row[score]:.4f}"]
        for name, row in figures.items()
    ]
    table(
        f"{title}, {len(pairs)} pairs", ["", "ms a pair", "× ours", f"mean {score} of blocks"], rows
    )
    return figures


def main() -> None:
    """Measure, show, write."""
    parser = make_bench_parser(__doc__)
    add_numbers(parser, masks=1000, pairs=200)
    options = parse_options(parser)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    drawn = draw_spinal()
    masks = [drawn[n % DRAWN] for n in range(options.masks)]
    figures = {
        "overlap": measure("Dice and IoU of ten-class masks", OVERLAP, masks, "dice"),
        "distances": measure(
            "distances of one structure", DISTANCES, draw_structures(drawn, options.pairs), "hd95"
        ),
        "scorer": measure("all of a mask's scoring", {"usbench": score_all}, masks[:500], "dice"),
    }
    ratios = compare(figures["overlap"], "time for Dice and IoU of a ten-class mask, 690×275")
    ratios += compare(figures["distances"], "time for HD95, NSD and ASSD of one structure")
    save_record(options, make_record("bench_metrics", options, ratios, figures, PEERS))


def compare(figures: Figures, measured: str) -> list[Ratio]:
    """Each package's time by ours."""
    ours = figures["usbench"]["ms"]
    peers = [name for name in figures if name != "usbench"]
    return [Ratio(measured, name, figures[name]["ms"] / ours) for name in peers]


if __name__ == "__main__":
    main()
