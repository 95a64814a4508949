"""Draw the results of the scoring benchmarks: seconds of usbench and its peers, for the README.

python scripts/bench_metrics.py --json masks.json
python scripts/bench_boxes.py --json boxes.json
python scripts/bench_picture.py masks.json boxes.json results/bench-scoring.png
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path

from usbench.cli.options import Options, make_parser, run_verb
from usbench.errors import DataError
from usbench.io.console import say
from usbench.io.files import JsonObject, write_atomically

Panel = tuple[str, str, Mapping[str, float]]  # title, unit, time by package


def panels(masks: JsonObject, boxes: JsonObject) -> list[Panel]:
    """The four jobs, each with the times of usbench and its peers."""
    resampling = boxes["resampling"]
    resamples = {
        "usbench": resampling["matching"] + resampling["resamples"],
        "fastest peer,\nextrapolated": resampling["fastest_peer_extrapolated"],
    }
    return [
        (
            "Dice and IoU\nof a 10-class 690×275 mask",
            "ms",
            select(masks["overlap"], "ms"),
        ),
        (
            "HD95, surface Dice and ASSD\nof one structure",
            "ms",
            select(masks["distances"], "ms"),
        ),
        (
            "COCO's twelve figures,\n5,000 images × 100 boxes",
            "s",
            select(boxes["evaluate"], "whole"),
        ),
        ("1,000 resamples of mAP,\n500 images", "s", resamples),
    ]


def select(rows: Mapping[str, Mapping[str, float]], name: str) -> dict[str, float]:
    """One figure of each row."""
    return {row: figures[name] for row, figures in rows.items()}


def draw(jobs: Sequence[Panel]) -> bytes:
    """Bars from the fastest down, each panel with an axis of its own, as PNG."""
    from matplotlib.figure import Figure  # slow to import, needed here only

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    for axis, (title, unit, times) in zip(figure.subplots(2, 2).flat, jobs, strict=True):
        for name, time in sorted(times.items(), key=itemgetter(1)):
            is_ours = name == "usbench"
            ratio = "" if is_ours else f"   {time / times['usbench']:.1f} ×"
            bar = axis.barh(name, time, color="#1f5f8b" if is_ours else "#b9c4cc", height=0.65)
            axis.bar_label(bar, [f"{time:.3g} {unit}{ratio}"], padding=4, fontsize=9)
        axis.invert_yaxis()
        axis.margins(x=0.28)
        axis.set_title(title, loc="left", fontsize=10, fontweight="bold")
        axis.set_xticks([])
        axis.tick_params(length=0)
        axis.spines[["top", "right", "bottom"]].set_visible(False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110, metadata={"Software": None})
    return picture.getvalue()


def read_json(path: Path) -> JsonObject:
    """A benchmark's JSON. Raises DataError for anything else."""
    try:
        content: JsonObject = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: expected the JSON of a benchmark ({error}); run it first"
        ) from error
    return content


def run(options: Options) -> None:
    """Read, draw, write."""
    masks, boxes = read_json(options.masks), read_json(options.boxes)
    try:
        jobs = panels(masks, boxes)
    except KeyError as error:
        raise DataError(
            f"{options.masks}, {options.boxes}: no {error} in them; is the order masks, boxes?"
        ) from error
    write_atomically(options.picture, draw(jobs))
    say(f"{options.picture}: drawn")


def main(argv: list[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for a file that isn't a benchmark's."""
    parser = make_parser(__doc__)
    parser.add_argument("masks", type=Path, help="of bench_metrics.py")
    parser.add_argument("boxes", type=Path, help="of bench_boxes.py")
    parser.add_argument("picture", type=Path, help="a PNG to write")
    return run_verb(run, parser.parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
