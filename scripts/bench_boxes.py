"""Seconds of usbench's average precision against pycocotools and faster-coco-eval: same boxes, same figures, one run.

Each evaluation makes COCO's twelve figures of `--images` images. The peers get their lists of dictionaries ready-made;
"evaluate" is evaluate() and accumulate() alone, "whole" has the index they need, too. Ours starts from arrays. Then the
resamples: 1,000 of mAP from matches that are there, their own matching beside it; the peers' figure is one evaluation
times 1,000, extrapolated. The three take turns, so that a drifting machine harms all alike; medians.

    python scripts/bench_boxes.py [--images 5000] [--classes 8] [--boxes 100] [--blocks 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import faster_coco_eval
import numpy as np
import pycocotools.coco  # type: ignore[import-untyped]
import pycocotools.cocoeval  # type: ignore[import-untyped]

from usbench.io.console import say, table
from usbench.io.files import replacing
from usbench.metrics import box_protocols
from usbench.metrics.average_precision import average_precisions
from usbench.metrics.bootstrap import RESAMPLES, draw
from usbench.metrics.ratios import mean_defined
from usbench.types import Boxes

PEERS: Mapping[str, tuple[Any, Any]] = {
    "pycocotools": (pycocotools.coco.COCO, pycocotools.cocoeval.COCOeval),
    "faster-coco-eval": (faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster),
}
RULE = box_protocols.BOX_PROTOCOLS["coco"]
CLOSE = 1e-9  # of the figures that are to be the same
SIDE = 550  # px of an image
Pairs = list[tuple[Boxes, Boxes]]


def drawn(images: int, classes: int, most: int, seed: int = 0) -> Pairs:
    """Up to 8 truths an image, a near guess of each, well scored, and poorly scored ones elsewhere: `most` in all."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(images):
        count = int(rng.integers(0, min(9, most + 1)))
        own, elsewhere = (placed(rng, n) for n in (count, most - count))
        near = own + rng.normal(0, 4, own.shape)
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        labels, others = rng.integers(0, classes, count), rng.integers(0, classes, most - count)
        scores = np.concatenate([rng.beta(4, 2, count), rng.beta(1, 4, most - count)])
        found = np.concatenate([near, elsewhere]).astype(np.float32)
        guess = Boxes(found, np.concatenate([labels, others]), scores.astype(np.float32))
        pairs.append((Boxes(own.astype(np.float32), labels), guess))
    return pairs


def placed(rng: np.random.Generator, count: int) -> Any:
    """(count, 4) boxes."""
    corner = rng.uniform(0, 400, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(10, SIDE - 400, (count, 2))], axis=1)


def listed(pairs: Pairs, classes: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(ground truth, results) in COCO's form."""
    own = [entry for n, (truth, _) in enumerate(pairs) for entry in entries(truth, n + 1)]
    truths = [{**entry, "id": n + 1, "iscrowd": 0} for n, entry in enumerate(own)]
    images = [{"id": n + 1, "height": SIDE, "width": SIDE} for n in range(len(pairs))]
    categories = [{"id": c + 1, "name": str(c)} for c in range(classes)]
    guesses = [entry for n, (_, guess) in enumerate(pairs) for entry in entries(guess, n + 1)]
    return {"images": images, "categories": categories, "annotations": truths}, guesses


def entries(found: Boxes, image: int) -> list[dict[str, Any]]:
    """One image's boxes as dictionaries."""
    out = []
    for n, ((x, y, right, below), label) in enumerate(
        zip(found.xyxy.tolist(), found.labels.tolist(), strict=True)
    ):
        width, height = right - x, below - y
        one = {
            "image_id": image,
            "category_id": label + 1,
            "bbox": [x, y, width, height],
            "area": width * height,
        }
        out.append(one if found.scores is None else {**one, "score": float(found.scores[n])})
    return out


def ours(pairs: Pairs, classes: int) -> tuple[dict[str, float], list[float | None]]:
    """(seconds, figures)."""
    start = time.perf_counter()
    found, _ = box_protocols.box_figures(
        RULE, box_protocols.match_pairs(RULE, pairs, classes), [str(c) for c in range(classes)]
    )
    whole = time.perf_counter() - start
    return {"whole": whole, "evaluate": whole}, [figure.value for figure in found.values()]


def theirs(
    name: str, dataset: dict[str, Any], guesses: list[dict[str, Any]]
) -> tuple[dict[str, float], list[float]]:
    """(seconds, figures) of a peer, which is handed copies: it writes into them."""
    index, evaluation = PEERS[name]
    own = {**dataset, "annotations": [dict(entry) for entry in dataset["annotations"]]}
    found = [dict(entry) for entry in guesses]
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        truth = index()
        truth.dataset = own
        truth.createIndex()
        run = evaluation(truth, truth.loadRes(found), "bbox")
        ready = time.perf_counter()
        run.evaluate()
        run.accumulate()
        end = time.perf_counter()
        run.summarize()
    return {"whole": end - start, "evaluate": end - ready}, [
        float(value) for value in run.stats[:12]
    ]


def resampled(pairs: Pairs, classes: int) -> tuple[float, float]:
    """(seconds of matching, seconds of 1,000 resamples of mAP)."""
    start = time.perf_counter()
    (found, *_) = box_protocols.match_pairs(RULE, pairs, classes)
    ready = time.perf_counter()
    weights = draw([str(n) for n in range(len(pairs))]).case_weights
    mean_defined(average_precisions(found, RULE.curve, weights).mean(1), 1)
    return ready - start, time.perf_counter() - ready


def together(pairs: Pairs, classes: int, blocks: int) -> dict[str, dict[str, float]]:
    """Medians of every evaluator in turn; all figures must be the same."""
    dataset, guesses = listed(pairs, classes)
    tools: dict[str, Callable[[], tuple[dict[str, float], Sequence[float | None]]]] = {
        "usbench": lambda: ours(pairs, classes)
    }
    for name in PEERS:
        tools[name] = lambda name=name: theirs(name, dataset, guesses)  # type: ignore[misc]
    seconds: dict[str, list[dict[str, float]]] = {name: [] for name in tools}
    wanted: Sequence[float | None] = ()
    for _ in range(blocks):
        for name, tool in tools.items():
            took, figures = tool()
            wanted = wanted or figures
            same(name, figures, wanted)
            seconds[name].append(took)
    return {
        name: {
            part: statistics.median(took[part] for took in all_of) for part in ("whole", "evaluate")
        }
        for name, all_of in seconds.items()
    }


def same(name: str, figures: Sequence[float | None], wanted: Sequence[float | None]) -> None:
    """Raises SystemExit where an evaluator's figures are others."""
    found, right = (
        [-1.0 if value is None else value for value in each] for each in (figures, wanted)
    )
    if not np.allclose(found, right, rtol=0, atol=CLOSE):
        raise SystemExit(f"{name}: the twelve figures {right} were wanted, found {found}")


def report(title: str, seconds: Mapping[str, Mapping[str, float]]) -> float:
    """The table; the ratio to the fastest peer by evaluate() and accumulate() alone."""
    rows = [
        [name, f"{took['whole']:.2f}", f"{took['evaluate']:.2f}"] for name, took in seconds.items()
    ]
    table(title, ["evaluator", "whole, s", "evaluate, s"], rows)
    fastest = min(took["evaluate"] for name, took in seconds.items() if name != "usbench")
    ratio = fastest / seconds["usbench"]["whole"]
    say(
        f"usbench, whole, is {ratio:.2f} times as fast as the fastest peer's evaluate() and accumulate() alone"
    )
    return ratio


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("images", 5000), ("classes", 8), ("boxes", 100)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--resampled-images", type=int, default=500)
    parser.add_argument("--resampled-boxes", type=int, default=50)
    parser.add_argument("--blocks", type=int, default=3, help="every evaluator in turn, this often")
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    once = together(
        drawn(wanted.images, wanted.classes, wanted.boxes), wanted.classes, wanted.blocks
    )
    ratio = report(
        f"COCO's figures of {wanted.images} images, {wanted.classes} classes, {wanted.boxes} boxes each",
        once,
    )
    few = drawn(wanted.resampled_images, wanted.classes, wanted.resampled_boxes)
    single = together(few, wanted.classes, wanted.blocks)
    report(
        f"the same of {wanted.resampled_images} images, {wanted.resampled_boxes} boxes each", single
    )
    took = [resampled(few, wanted.classes) for _ in range(wanted.blocks)]
    matching, resamples = (statistics.median(each) for each in zip(*took, strict=True))
    peer = min(took["evaluate"] for name, took in single.items() if name != "usbench") * RESAMPLES
    say(
        f"{RESAMPLES} resamples of mAP on those images: matching {matching:.2f} s, resamples {resamples:.2f} s; "
        f"{RESAMPLES} evaluations of the fastest peer, extrapolated: {peer:.0f} s, {peer / resamples:.0f} times that"
    )
    if wanted.json:
        resampling = {
            "matching": matching,
            "resamples": resamples,
            "fastest_peer_extrapolated": peer,
        }
        made = {"evaluate": once, "ratio": ratio, "few": single, "resampling": resampling}
        with replacing(wanted.json) as part:
            part.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
