"""Draw what the scoring benchmarks measured: seconds of usbench and its peers, for the README.

python scripts/bench_metrics.py --json masks.json
python scripts/bench_boxes.py --json boxes.json
python scripts/bench_picture.py masks.json boxes.json results/bench-scoring.png
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from usbench.errors import DataError, UsbenchError
from usbench.io import console
from usbench.results.store import write_all

Panel = tuple[str, str, dict[str, float]]  # title, unit, what each took


def panels(masks: Mapping[str, Any], boxes: Mapping[str, Any]) -> list[Panel]:
    """The four jobs, each with what usbench and its peers took."""
    resampling = boxes["resampling"]
    resamples = {
        "usbench": resampling["matching"] + resampling["resamples"],
        "fastest peer,\nextrapolated": resampling["fastest_peer_extrapolated"],
    }
    return [
        (
            "Dice and IoU\nof a 10-class 690×275 mask",
            "ms",
            {n: f["ms"] for n, f in masks["overlap"].items()},
        ),
        (
            "HD95, surface Dice and ASSD\nof one structure",
            "ms",
            {n: f["ms"] for n, f in masks["distances"].items()},
        ),
        (
            "COCO's twelve figures,\n5,000 images × 100 boxes",
            "s",
            {n: f["whole"] for n, f in boxes["evaluate"].items()},
        ),
        ("1,000 resamples of mAP,\n500 images", "s", resamples),
    ]


def draw(found: Sequence[Panel]) -> bytes:
    """Bars from the fastest down, each panel with an axis of its own, as PNG."""
    from matplotlib.figure import Figure  # slow to import, needed here only

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    for axis, (title, unit, took) in zip(figure.subplots(2, 2).flat, found, strict=True):
        order = sorted(took, key=lambda name: took[name])
        colours = ["#1f5f8b" if name == "usbench" else "#b9c4cc" for name in order]
        bars = axis.barh(order, [took[name] for name in order], color=colours, height=0.65)
        best = took["usbench"]
        texts = [
            f"{took[name]:.3g} {unit}"
            + ("" if name == "usbench" else f"   {took[name] / best:.1f} ×")
            for name in order
        ]
        axis.bar_label(bars, texts, padding=4, fontsize=9)
        axis.invert_yaxis()
        axis.margins(x=0.28)
        axis.set_title(title, loc="left", fontsize=10, fontweight="bold")
        axis.set_xticks([])
        axis.tick_params(length=0)
        axis.spines[["top", "right", "bottom"]].set_visible(False)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110, metadata={"Software": None})
    return drawn.getvalue()


def read(path: Path) -> dict[str, Any]:
    """A benchmark's JSON; DataError where it is none."""
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: the JSON of a benchmark was wanted, found none ({error}); run it first"
        ) from error
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 1 where a file isn't what was wanted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("masks", type=Path, help="of bench_metrics.py")
    parser.add_argument("boxes", type=Path, help="of bench_boxes.py")
    parser.add_argument("picture", type=Path, help="a PNG to write")
    options = parser.parse_args(argv)
    try:
        masks, boxes = read(options.masks), read(options.boxes)
        try:
            found = panels(masks, boxes)
        except KeyError as missing:
            raise DataError(
                f"{options.masks}, {options.boxes}: no {missing} in them; is the order masks, boxes?"
            ) from missing
        write_all({options.picture: draw(found)})
    except UsbenchError as error:
        console.warn(str(error))
        return error.exit_code
    console.say(f"{options.picture}: drawn")
    return 0


if __name__ == "__main__":
    sys.exit(main())
