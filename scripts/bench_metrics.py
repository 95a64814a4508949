"""Scoring masks: ours against the packages that people use, same masks, one run, ratios to the fastest of them.

Overlap: Dice and IoU per class of ten-class masks of 690×275 (phantoms of `spinal`, the truth and a guess that is the
truth moved), against torchmetrics' DiceScore and MeanIoU and MONAI's DiceMetric and MeanIoU, each in the form that it
takes. Distances: HD95, surface Dice and mean surface distance of pairs of single structures of that size, against
google-deepmind's surface-distance (the same definition), MONAI and MedPy (other definitions). One thread for all.

    python scripts/bench_metrics.py [--masks 1000] [--pairs 200] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import medpy.metric.binary as medpy
import numpy as np
import surface_distance
import torch
from monai import metrics as monai
from numpy.typing import NDArray
from scipy import ndimage
from torchmetrics.segmentation import DiceScore, MeanIoU

from usbench.datasets.phantoms import phantom
from usbench.io.console import say, table, track
from usbench.io.files import replacing
from usbench.metrics.mask_overlap import count_pixels
from usbench.metrics.mask_protocols import find_protocol, score_counts
from usbench.metrics.outline_distances import measure_distances
from usbench.metrics.segment_scorer import SegmentScorer
from usbench.types import Masks

SIZE, CLASSES, DRAWN, TOLERANCE = (275, 690), 9, 20, 2.0
BLOCK = 100  # pairs that one part scores before the next takes its turn
Planes = NDArray[np.bool_]
Pair = tuple[Planes, Planes]


def moved(planes: Planes) -> Planes:
    """(…, H, W) by 3 rows and 5 columns; what leaves the image is lost."""
    out = np.zeros_like(planes)
    out[..., 3:, 5:] = planes[..., :-3, :-5]
    return out


def spinal() -> list[Pair]:
    """(C, H, W) twice: a truth, and it moved by 3 rows and 5 columns."""
    spec = phantom.PhantomSpec("spinal", SIZE, {"test": DRAWN}, 0)
    every = [
        sample.target for sample in track(phantom.draw_samples(spec, "segment"), "drawing", DRAWN)
    ]
    return [(t.planes, moved(t.planes)) for t in every if isinstance(t, Masks)]


def structures(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """(H, W) twice: by turns a layer of the spinal phantom, thin and wide, and a smooth blob."""
    layers = [
        (t, g)
        for truth, guess in pairs
        for t, g in zip(truth, guess, strict=True)
        if t.any() and g.any()
    ]
    rng = np.random.default_rng(0)
    blobs: list[Pair] = []
    for _ in range(DRAWN):
        field = ndimage.gaussian_filter(rng.normal(size=SIZE), 25)
        blob = field > np.quantile(field, rng.uniform(0.6, 0.9))
        blobs.append((blob, moved(blob)))
    return [
        (layers if n % 2 else blobs)[n // 2 % len(layers if n % 2 else blobs)] for n in range(count)
    ]


# ---- overlap


def ours_overlap(pairs: Sequence[Pair]) -> float:
    """Counts, then the rule."""
    counted = np.stack([count_pixels(truth, guess) for truth, guess in pairs])
    names = [str(c) for c in range(CLASSES)]
    return float(score_counts(find_protocol("usbench"), counted, names).scores["dice"].value or 0)


def batches(pairs: Sequence[Pair]) -> Any:
    """(guess, truth) as one-hot tensors, 20 masks at a time."""
    for n in range(0, len(pairs), DRAWN):
        part = pairs[n : n + DRAWN]
        yield tuple(torch.from_numpy(np.stack([pair[side] for pair in part])) for side in (1, 0))


def torchmetrics_overlap(pairs: Sequence[Pair]) -> float:
    """Two metrics, one-hot."""
    dice = DiceScore(CLASSES, average=None, aggregation_level="samplewise", input_format="one-hot")
    iou = MeanIoU(CLASSES, per_class=True, input_format="one-hot")
    for guess, truth in batches(pairs):
        dice.update(guess.long(), truth.long())
        iou.update(guess.long(), truth.long())
    iou.compute()
    return float(dice.compute().nanmean())


def monai_overlap(pairs: Sequence[Pair]) -> float:
    """Two metrics, one-hot."""
    dice, iou = (
        metric(include_background=True, reduction="none", ignore_empty=True)
        for metric in (monai.DiceMetric, monai.MeanIoU)
    )
    for guess, truth in batches(pairs):
        dice(guess, truth)
        iou(guess, truth)
    iou.aggregate()
    return float(dice.aggregate().nanmean(0).nanmean())


# ---- distances


def ours_distances(pairs: Sequence[Pair]) -> float:
    """All three of one pass."""
    found = [measure_distances(truth, guess) for truth, guess in pairs]
    figures = [
        (each.hausdorff(0.95), each.surface_dice(TOLERANCE), each.mean())
        for each in found
        if each is not None
    ]
    return float(np.mean(figures, axis=0)[0])


def deepmind_distances(pairs: Sequence[Pair]) -> float:
    """All three of one pass."""
    hd95 = []
    for truth, guess in pairs:
        found = surface_distance.compute_surface_distances(truth, guess, (1, 1))
        surface_distance.compute_surface_dice_at_tolerance(found, TOLERANCE)
        surface_distance.compute_average_surface_distance(found)
        hd95.append(surface_distance.compute_robust_hausdorff(found, 95))
    return float(np.mean(hd95))


def monai_distances(pairs: Sequence[Pair]) -> float:
    """Three functions."""
    hd95 = []
    for truth, guess in pairs:
        one, other = (torch.from_numpy(plane)[None, None] for plane in (guess, truth))
        monai.compute_surface_dice(one, other, [TOLERANCE], include_background=True)
        monai.compute_average_surface_distance(one, other, include_background=True, symmetric=True)
        hd95.append(
            float(
                monai.compute_hausdorff_distance(one, other, include_background=True, percentile=95)
            )
        )
    return float(np.mean(hd95))


def medpy_distances(pairs: Sequence[Pair]) -> float:
    """Two functions: it has no surface Dice."""
    hd95 = []
    for truth, guess in pairs:
        medpy.assd(guess, truth)
        hd95.append(medpy.hd95(guess, truth))
    return float(np.mean(hd95))


def whole_scorer(pairs: Sequence[Pair]) -> float:
    """What a run does of a mask: every rule's counts, all distances, rows, and 1,000 resamples of every figure."""
    scorer = SegmentScorer([str(c) for c in range(CLASSES)])
    for n, (truth, guess) in enumerate(pairs):
        scorer.update(str(n), str(n // 4), Masks(truth), Masks(guess), SIZE)
    return float(scorer.result().protocol.scores["dice"].value or 0)


Part = tuple[str, Callable[[Sequence[Pair]], float]]


def measured(
    title: str, parts: Sequence[Part], pairs: Sequence[Pair], figure: str
) -> dict[str, dict[str, float]]:
    """Each part's milliseconds a pair and its figure; the first is ours.

    The parts take turns, block by block: whatever else the machine does meets all of them alike.
    """
    seconds, values = dict.fromkeys((name for name, _ in parts), 0.0), dict[str, float]()
    blocks = [pairs[n : n + BLOCK] for n in range(0, len(pairs), BLOCK)]
    for _, part in parts:
        part(pairs[:2])
    for block in track(blocks, title):
        for name, part in parts:
            start = time.perf_counter()
            values[name] = values.get(name, 0.0) + part(block) * len(block) / len(pairs)
            seconds[name] += time.perf_counter() - start
    found = {
        name: {"ms": spent / len(pairs) * 1000, figure: values[name]}
        for name, spent in seconds.items()
    }
    ours = found[parts[0][0]]["ms"]
    lines = [
        [n, f"{f['ms']:.2f}", f"{f['ms'] / ours:.1f}", f"{f[figure]:.4f}"] for n, f in found.items()
    ]
    table(
        f"{title}, {len(pairs)} pairs",
        ["", "ms a pair", "× ours", f"mean {figure} of blocks"],
        lines,
    )
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--masks", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    drawn = spinal()
    masks = [drawn[n % len(drawn)] for n in range(wanted.masks)]
    peers: list[Part] = [("torchmetrics", torchmetrics_overlap), ("MONAI", monai_overlap)]
    facts = {
        "overlap": measured(
            "Dice and IoU of ten-class masks", [("usbench", ours_overlap), *peers], masks, "dice"
        )
    }
    far: list[Part] = [("usbench", ours_distances), ("surface-distance", deepmind_distances)]
    far += [("MONAI", monai_distances), ("MedPy", medpy_distances)]
    facts["distances"] = measured(
        "distances of one structure", far, structures(drawn, wanted.pairs), "hd95"
    )
    facts["scorer"] = measured(
        "all of a mask's scoring", [("usbench", whole_scorer)], masks[:500], "dice"
    )
    for name, found in facts.items():
        others = [
            (figures["ms"] / found["usbench"]["ms"], peer)
            for peer, figures in found.items()
            if peer != "usbench"
        ]
        if others:
            ratio, peer = min(others)
            say(f"{name}: {ratio:.1f} × as fast as the fastest peer, {peer}")
    if wanted.json:
        with replacing(wanted.json) as part:
            part.write_text(json.dumps(facts, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
