"""Predict any folder of images with a finished run's model: JSON, masks and pictures.

    usbench predict RESULT --images DIR --out DIR [--device cpu] [--results DIR] [--runs DIR]

RESULT is a result's file, name or run id. Below --out: predictions.json and images.json (COCO
results, or label JSON of landmarks, as a run writes them), categories.json, overlays/NAME.jpg, and
of masks masks/NAME.png (index, 0 = background) where the classes exclude each other, else
masks/CLASS/NAME.png (0 and 255).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from usbench.cli.options import (
    Options,
    encode_json,
    make_parser,
    new_folder,
    run_verb,
    write_json,
)
from usbench.datasets.codecs import coco, image, label_png, unity_predictions
from usbench.datasets.layouts.folders import list_files
from usbench.errors import DataError
from usbench.evaluate.restore import restore_run
from usbench.io.console import say, track
from usbench.io.numbers import format_count
from usbench.results.gallery.drawing import draw_overlay
from usbench.results.predictions import check_predictions
from usbench.runner.config import RunConfig
from usbench.types import Masks, Model

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def predict(options: Options) -> None:
    """Predict, write, show."""
    out, files = options.out, list_files(options.images, *SUFFIXES)
    if not files:
        raise DataError(f"{options.images}: expected images ({', '.join(SUFFIXES)}), got none")
    with new_folder(out) as folder:
        model, config = restore_run(options.result, options.results, options.runs, options.device)
        write_all_predictions(folder, files, model, config)
    facts = {"out": str(out), "images": len(files), "classes": config.view.classes}
    write_json(options.json, facts)
    say(
        f"{out}: predictions of {format_count(len(files), 'image')}, with pictures in {out / 'overlays'}"
    )


def write_all_predictions(
    out: Path, files: Mapping[str, Path], model: Model, config: RunConfig
) -> None:
    """Write everything below out. files: stem → image."""
    view, overlays = config.view, out / "overlays"
    classes = view.classes or ()
    overlays.mkdir()
    categories = [{"id": n, "name": label} for n, label in enumerate(classes, start=1)]
    (out / "categories.json").write_bytes(encode_json(categories))
    paths = out / "predictions.json", out / "images.json"
    writer: AbstractContextManager[Any] = coco.PredictionWriter(*paths)
    if config.task == "landmark":
        writer = unity_predictions.LandmarkWriter(*paths, classes)
    with writer as opened:
        predictions = model.predict(image.read_grey(path) for path in files.values())
        checked = check_predictions(predictions, len(files), config.task, classes)
        tracked = track(checked, "predicting", len(files))
        for (stem, path), prediction in zip(files.items(), tracked, strict=True):
            pixels = image.read_grey(path)
            opened.add(path.name, stem, (pixels.shape[0], pixels.shape[1]), prediction)
            if isinstance(prediction, Masks):
                write_masks(out / "masks", stem, prediction, classes, view.exclusive)
            picture = draw_overlay(pixels, classes, prediction=prediction)
            picture.save(overlays / f"{stem}.jpg", quality=92)


def write_masks(
    folder: Path, stem: str, masks: Masks, classes: Sequence[str], exclusive: bool
) -> None:
    """Write one index PNG, or a PNG per class."""
    if exclusive:
        folder.mkdir(exist_ok=True)
        label_png.write_label_png(folder / f"{stem}.png", label_png.planes_to_index(masks.planes))
        return
    for label, plane in zip(classes, masks.planes, strict=True):
        class_folder = folder / label.replace("/", "-").replace("..", "-")
        class_folder.mkdir(parents=True, exist_ok=True)
        image.write_grey(class_folder / f"{stem}.png", plane.astype(np.uint8) * 255)


def main(argv: list[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for missing images or a missing run, 2 for wrong words."""
    parser = make_parser(
        __doc__, "write what was predicted as JSON", "predict", ("results", "runs")
    )
    add = parser.add_argument
    add("result", metavar="RESULT", help="a result's file, name or run id")
    add("--images", type=Path, required=True, metavar="DIR", help="a folder of images")
    add("--out", type=Path, required=True, metavar="DIR", help="a new or empty folder")
    add("--device", default="auto", help="auto | cpu | cuda | cuda:1; default: %(default)s")
    return run_verb(predict, parser.parse_args(argv))
