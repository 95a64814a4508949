"""Seconds of usbench's average precision against COCO evaluators.

The same boxes, the same figures, one run, one core. Each evaluation makes COCO's twelve figures of
`--images` images. The peers get their lists of dictionaries ready-made; "evaluate" is evaluate()
and accumulate() alone, "whole" has the index they need, too. Ours starts from arrays. All take
turns, so that a drifting machine harms all alike; medians.

Then 1,000 resamples of mAP, overall and per class, and the intervals of all twelve figures: 1,000
resamples, and each image left out. These run on all cores, with the matching. The peers' figure is
one evaluation times 1,000, extrapolated.

    python scripts/bench_boxes.py [--images 5000] [--classes 4] [--boxes 50] [--blocks 3]
                                  [--record] [--json FILE]
"""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

os.environ.setdefault("RAYON_NUM_THREADS", "1")  # hotcoco, ultrafast-pycocotools

import faster_coco_eval
import hotcoco
import numpy as np
import pycocotools.coco  # type: ignore[import-untyped]
import pycocotools.cocoeval  # type: ignore[import-untyped]
import ultrafast_pycocotools  # type: ignore[import-untyped]
from numpy.typing import NDArray

from scripts.record import Ratio, make_bench_parser, make_record, parse_options, save_record
from usbench.cli.options import add_numbers, time_call
from usbench.io.console import say, table
from usbench.io.cores import count_cores
from usbench.metrics import box_protocols
from usbench.metrics.average_precision import average_precisions
from usbench.metrics.bootstrap import RESAMPLES, draw
from usbench.metrics.chunks import set_threads
from usbench.types import Boxes

PEERS: Mapping[str, tuple[Any, Any]] = {
    "pycocotools": (pycocotools.coco.COCO, pycocotools.cocoeval.COCOeval),
    "faster-coco-eval": (faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster),
    "ultrafast-pycocotools": (ultrafast_pycocotools.COCO, ultrafast_pycocotools.COCOeval),
    "hotcoco": (hotcoco.COCO, hotcoco.COCOeval),
}
RULE = box_protocols.BOX_PROTOCOLS["coco"]
CLOSE = 1e-9  # of the figures that are to be the same
SIDE = 550  # px of an image
PARTS = ("whole", "evaluate")  # what is timed
Pairs = list[tuple[Boxes, Boxes]]
Entry = dict[str, Any]  # of COCO's files
Seconds = Mapping[str, Mapping[str, float]]  # by evaluator and part


def draw_pairs(images: int, classes: int, boxes: int, seed: int = 0) -> Pairs:
    """Up to 8 targets an image; close predictions, well scored, others poorly: `boxes` in all."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(images):
        count = int(rng.integers(0, min(9, boxes + 1)))
        targets, others = draw_boxes(rng, count), draw_boxes(rng, boxes - count)
        close = targets + rng.normal(0, 4, targets.shape)
        close[:, 2:] = np.maximum(close[:, 2:], close[:, :2] + 1)
        labels = rng.integers(0, classes, count)
        all_labels = np.concatenate([labels, rng.integers(0, classes, boxes - count)])
        scores = np.concatenate([rng.beta(4, 2, count), rng.beta(1, 4, boxes - count)])
        prediction = Boxes(
            np.concatenate([close, others]).astype(np.float32),
            all_labels,
            scores.astype(np.float32),
        )
        pairs.append((Boxes(targets.astype(np.float32), labels), prediction))
    return pairs


def draw_boxes(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """(count, 4) boxes."""
    corner = rng.uniform(0, 400, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(10, SIDE - 400, (count, 2))], axis=1)


def to_coco(pairs: Pairs, classes: int) -> tuple[Entry, list[Entry]]:
    """(dataset, results) in COCO's form."""
    annotations: list[Entry] = []
    results: list[Entry] = []
    for image, (target, prediction) in enumerate(pairs, start=1):
        for entry in box_entries(target, image):
            annotations.append({**entry, "id": len(annotations) + 1, "iscrowd": 0})
        assert prediction.scores is not None
        scores = prediction.scores.tolist()
        for entry, score in zip(box_entries(prediction, image), scores, strict=True):
            results.append({**entry, "score": score})
    images = [{"id": n + 1, "height": SIDE, "width": SIDE} for n in range(len(pairs))]
    categories = [{"id": c + 1, "name": str(c)} for c in range(classes)]
    return {"images": images, "categories": categories, "annotations": annotations}, results


def box_entries(boxes: Boxes, image: int) -> list[Entry]:
    """One image's boxes as dictionaries."""
    entries = []
    for (x, y, right, bottom), label in zip(
        boxes.xyxy.tolist(), boxes.labels.tolist(), strict=True
    ):
        width, height = right - x, bottom - y
        entries.append(
            {
                "image_id": image,
                "category_id": label + 1,
                "bbox": [x, y, width, height],
                "area": width * height,
            }
        )
    return entries


def evaluate_ours(pairs: Pairs, classes: int) -> list[float]:
    """Our twelve figures; -1 where there is none, as the peers have it."""
    figures, _ = box_protocols.box_figures(
        RULE, box_protocols.match_pairs(RULE, pairs, classes), list(map(str, range(classes)))
    )
    return [-1.0 if figure.value is None else figure.value for figure in figures.values()]


def evaluate_peer(
    name: str, dataset: Entry, results: list[Entry]
) -> tuple[tuple[float, float], Sequence[float]]:
    """(seconds by part, figures) of a peer, which gets copies: it writes into them."""
    make_index, make_evaluation = PEERS[name]
    copies = {**dataset, "annotations": list(map(dict, dataset["annotations"]))}
    result_copies = list(map(dict, results))
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        if name == "hotcoco":
            index = make_index(copies)
        else:
            index = make_index()
            index.dataset = copies
            index.createIndex()
        evaluation = make_evaluation(index, index.loadRes(result_copies), "bbox")
        ready = time.perf_counter()
        evaluation.evaluate()
        evaluation.accumulate()
        end = time.perf_counter()
        evaluation.summarize()
    return (end - start, end - ready), evaluation.stats[:12]


def time_evaluators(pairs: Pairs, classes: int, blocks: int) -> Seconds:
    """Medians of all evaluators in turn. Raises SystemExit where their figures differ."""
    dataset, results = to_coco(pairs, classes)
    seconds = defaultdict(list)
    for _ in range(blocks):
        whole, expected = time_call(evaluate_ours, pairs, classes)
        seconds["usbench"].append((whole, whole))
        for name in PEERS:
            took, figures = evaluate_peer(name, dataset, results)
            if not np.allclose(figures, expected, rtol=0, atol=CLOSE):
                raise SystemExit(f"{name}: expected the twelve figures {expected}, got {figures}")
            seconds[name].append(took)
    return {
        name: dict(zip(PARTS, np.median(all_blocks, axis=0).tolist(), strict=True))
        for name, all_blocks in seconds.items()
    }


def time_intervals(pairs: Pairs, classes: int, blocks: int) -> tuple[float, float]:
    """(seconds of matching and resampling mAP, of matching and all intervals), medians."""
    labels, seconds = list(map(str, range(classes))), []
    draws = draw(list(map(str, range(len(pairs)))))
    for _ in range(blocks):
        matching, matches = time_call(box_protocols.match_pairs, RULE, pairs, classes)
        weights = draws.case_weights
        resampling, _ = time_call(average_precisions, matches[0], RULE.curve, weights)
        intervals, _ = time_call(box_protocols.box_figures, RULE, matches, labels, draws)
        seconds.append((matching + resampling, matching + intervals))
    resampling, intervals = np.median(seconds, axis=0).tolist()
    return resampling, intervals


def fastest_peer(seconds: Seconds) -> float:
    """The fastest peer's evaluate() and accumulate() alone."""
    return min(seconds[name]["evaluate"] for name in PEERS)


def show(title: str, seconds: Seconds) -> None:
    """Print the table."""
    rows = [(name, *(f"{took[part]:.2f}" for part in PARTS)) for name, took in seconds.items()]
    table(title, ["evaluator", "whole, s", "evaluate, s"], rows)


def main() -> None:
    """Measure, show, write."""
    parser = make_bench_parser(__doc__)
    add_numbers(parser, images=5000, few_images=500, classes=4, boxes=50, blocks=3)
    options = parse_options(parser)
    set_threads(count_cores())
    figures, ratios = {}, []
    for images in (options.images, options.few_images):
        pairs = draw_pairs(images, options.classes, options.boxes)
        seconds = time_evaluators(pairs, options.classes, options.blocks)
        resampling, intervals = time_intervals(pairs, options.classes, options.blocks)
        peer = fastest_peer(seconds) * RESAMPLES
        title = f"{images:,} images × {options.boxes} boxes, {options.classes} classes"
        show(f"COCO's figures of {title}", seconds)
        say(
            f"{RESAMPLES} resamples of mAP: {resampling:.2f} s; all intervals: {intervals:.2f} s; "
            f"{RESAMPLES} evaluations of the fastest peer, extrapolated: {peer:.0f} s"
        )
        figures[str(images)] = {
            "evaluate": seconds,
            "resampling": resampling,
            "intervals": intervals,
            "fastest_peer_extrapolated": peer,
        }
        ratios += compare(seconds, title)
        against = f"{RESAMPLES:,} evaluations of the fastest, extrapolated"
        measured = f"time for {RESAMPLES:,} resamples of mAP, {images:,} images"
        ratios.append(Ratio(measured, against, peer / resampling))
        measured = f"time for the intervals of all twelve, {images:,} images"
        ratios.append(Ratio(measured, against, peer / intervals))
    save_record(options, make_record("bench_boxes", options, ratios, figures, list(PEERS)))


def compare(seconds: Seconds, title: str) -> list[Ratio]:
    """Each peer's time by ours, with and without its index."""
    ours = seconds["usbench"]["whole"]
    measured = f"time for COCO's twelve figures, {title}"
    ratios = []
    for name in PEERS:
        ratios.append(Ratio(measured, name, seconds[name]["whole"] / ours))
        alone = f"{name}, evaluate() and accumulate() alone"
        ratios.append(Ratio(measured, alone, seconds[name]["evaluate"] / ours))
    return ratios


if __name__ == "__main__":
    main()
