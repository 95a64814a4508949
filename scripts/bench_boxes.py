"""Seconds of usbench's average precision against pycocotools and faster-coco-eval.

The same boxes, the same figures, one run. Each evaluation makes COCO's twelve figures of `--images`
images. The peers get their lists of dictionaries ready-made; "evaluate" is evaluate() and
accumulate() alone, "whole" has the index they need, too. Ours starts from arrays. Then the
resamples: 1,000 of mAP from matches that are there, their own matching beside it; the peers' figure
is one evaluation times 1,000, extrapolated. The three take turns, so that a drifting machine harms
all alike; medians.

    python scripts/bench_boxes.py [--images 5000] [--classes 8] [--boxes 100] [--blocks 3]
                                  [--record] [--json FILE]
"""

from __future__ import annotations

import contextlib
import io
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import faster_coco_eval
import numpy as np
import pycocotools.coco  # type: ignore[import-untyped]
import pycocotools.cocoeval  # type: ignore[import-untyped]
from numpy.typing import NDArray

from scripts.record import Ratio, make_bench_parser, make_record, parse_options, save_record
from usbench.cli.options import add_numbers, time_call
from usbench.io.console import say, table
from usbench.metrics import average_precision, box_protocols, ratios
from usbench.metrics.bootstrap import RESAMPLES, draw
from usbench.types import Boxes

PEERS: Mapping[str, tuple[Any, Any]] = {
    "pycocotools": (pycocotools.coco.COCO, pycocotools.cocoeval.COCOeval),
    "faster-coco-eval": (faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster),
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


def time_resamples(pairs: Pairs, classes: int) -> tuple[float, float]:
    """(seconds of matching, seconds of 1,000 resamples of mAP)."""
    matching, matches = time_call(box_protocols.match_pairs, RULE, pairs, classes)
    start = time.perf_counter()
    weights = draw(list(map(str, range(len(pairs))))).case_weights
    maps = average_precision.average_precisions(matches[0], RULE.curve, weights).mean(1)
    ratios.mean_defined(maps, 1)
    return matching, time.perf_counter() - start


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
    add_numbers(parser, images=5000, classes=8, boxes=100, blocks=3)
    add_numbers(parser, resampled_images=500, resampled_boxes=50)
    options = parse_options(parser)
    classes, blocks = options.classes, options.blocks
    pairs = draw_pairs(options.images, classes, options.boxes)
    seconds = time_evaluators(pairs, classes, blocks)
    title = f"{options.images} images, {classes} classes, {options.boxes} boxes each"
    show(f"COCO's figures of {title}", seconds)
    pairs = draw_pairs(options.resampled_images, classes, options.resampled_boxes)
    few = time_evaluators(pairs, classes, blocks)
    title = f"{options.resampled_images} images, {options.resampled_boxes} boxes each"
    show(f"the same of {title}", few)
    matching, resamples = np.median(
        [time_resamples(pairs, classes) for _ in range(blocks)], axis=0
    ).tolist()
    peer = fastest_peer(few) * RESAMPLES
    say(
        f"{RESAMPLES} resamples of mAP on those images: matching {matching:.2f} s, resamples "
        f"{resamples:.2f} s; {RESAMPLES} evaluations of the fastest peer, extrapolated: "
        f"{peer:.0f} s, {peer / resamples:.0f} times that"
    )
    parts = {"matching": matching, "resamples": resamples, "fastest_peer_extrapolated": peer}
    figures = {"evaluate": seconds, "few": few, "resampling": parts}
    ratios = compare(seconds, options.images, options.boxes)
    measured = f"time for {RESAMPLES:,} resamples of mAP, {options.resampled_images:,} images"
    ratios.append(
        Ratio(
            measured,
            "as many evaluations of the fastest, extrapolated",
            peer / (matching + resamples),
        )
    )
    save_record(options, make_record("bench_boxes", options, ratios, figures, list(PEERS)))


def compare(seconds: Seconds, images: int, boxes: int) -> list[Ratio]:
    """Each peer's time by ours, with and without its index."""
    ours = seconds["usbench"]["whole"]
    measured = f"time for COCO's twelve figures, {images:,} images × {boxes} boxes"
    ratios = []
    for name in PEERS:
        ratios.append(Ratio(measured, name, seconds[name]["whole"] / ours))
        alone = f"{name}, evaluate() and accumulate() alone"
        ratios.append(Ratio(measured, alone, seconds[name]["evaluate"] / ours))
    return ratios


if __name__ == "__main__":
    main()
