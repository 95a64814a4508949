"""A finished run's model on any folder of images: predictions as JSON, masks, pictures of what was found.

    python scripts/predict.py RESULT images=DIR out=DIR [device=cpu] [--results DIR] [--runs DIR]

RESULT is a record's file or its key. Below out: predictions.json and images.json (COCO results, or label JSON of
landmarks, as a run writes them), categories.json, overlays/NAME.jpg, and of masks masks/NAME.png (index, 0 =
background) where the classes exclude each other, else masks/CLASS/NAME.png (0 and 255).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from usbench.cli.overrides import exit_code
from usbench.datasets.codecs import coco, image, label_png, unity_labels
from usbench.datasets.layouts.folders import list_files
from usbench.errors import ConfigError, DataError, RunError
from usbench.io.console import say, track
from usbench.results import store as results
from usbench.results.gallery.annotated import annotated
from usbench.runner import config as cell
from usbench.runner import machine
from usbench.types import Masks, Target

ROOT = Path(__file__).resolve().parent.parent
WORDS = {"images": None, "out": None, "device": "auto"}
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("result", metavar="RESULT", help="a record's file, or its key")
    parser.add_argument(
        "words", nargs="*", metavar="key=value", help="images=DIR out=DIR device=auto|cpu|cuda"
    )
    parser.add_argument(
        "--results", type=Path, default=ROOT / "results", metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--runs", type=Path, default=ROOT / "runs", metavar="DIR", help="default: %(default)s"
    )
    return parser.parse_intermixed_args(argv)


def settled(words: Sequence[str]) -> dict[str, str]:
    """The words as a dictionary; ConfigError for one that isn't known or is missing."""
    found: dict[str, str | None] = dict(WORDS)
    for word in words:
        name, equals, value = word.partition("=")
        if name not in WORDS or not equals or not value:
            raise ConfigError(f"{word}: images=DIR, out=DIR or device=… was wanted")
        found[name] = value
    missing = [name for name, value in found.items() if value is None]
    if missing:
        raise ConfigError(f"{missing[0]}=DIR was wanted; see python scripts/predict.py --help")
    return {name: str(value) for name, value in found.items()}


def restored(options: argparse.Namespace, device: str) -> tuple[Any, Mapping[str, Any]]:
    """(the model, its cell)."""
    from usbench.runner import experiment as run  # torch

    path = results.named(options.result, options.results)
    record = results.load(path)
    folder = options.runs / ((record.get("config") or {}).get("trained") or record)["run_id"]
    if record["status"] != "done" or record["origin"] != "run":
        raise ConfigError(
            f"{path}: a finished run of a model was wanted, found {record['origin']}, {record['status']}"
        )
    if not (folder / "cell.yaml").is_file():
        raise RunError(
            f"{folder}: the run of this result was wanted here, found none; name its folder with --runs"
        )
    one = {
        **cell.read(folder / "cell.yaml"),
        "device": machine.resolve_device(device),
        "threads": machine.cores(),
    }
    one["precision"] = (
        "fp32" if one["device"].split(":")[0] != record["device"] else one["precision"]
    )
    return run.restored(one, folder), one


def predict(options: argparse.Namespace) -> int:
    """Predict, write, show; the exit code."""
    words = settled(options.words)
    out, found = Path(words["out"]), list_files(Path(words["images"]), *PICTURES)
    if not found:
        raise DataError(
            f"{words['images']}: images ({', '.join(PICTURES)}) were wanted, found none"
        )
    if out.exists() and any(out.iterdir()):
        raise RunError(
            f"{out}: a new or empty folder was wanted, found files in it; choose another with out="
        )
    model, one = restored(options, words["device"])
    beside = out.with_name(f".{out.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        write(beside, found, model, one)
        if out.exists():
            out.rmdir()
        beside.replace(out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    say(f"{out}: predictions of {len(found)} images, with pictures in {out / 'overlays'}")
    return 0


def write(out: Path, found: Mapping[str, Path], model: Any, one: Mapping[str, Any]) -> None:
    """Everything below out."""
    task, view = one["task"], one["dataset"]["views"][one["task"]]
    classes = list(view["classes"])
    (out / "overlays").mkdir(parents=True)
    names = [{"id": n, "name": label} for n, label in enumerate(classes, start=1)]
    (out / "categories.json").write_text(
        json.dumps(names, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    paths = out / "predictions.json", out / "images.json"
    writer: AbstractContextManager[Any] = (
        unity_labels.LandmarkWriter(*paths, classes)
        if task == "landmark"
        else coco.PredictionWriter(*paths)
    )
    with writer as opened:
        guesses: Iterator[Target] = model.predict(image.read_grey(path) for path in found.values())
        for (stem, path), guess in zip(
            found.items(), track(guesses, "predicting", len(found)), strict=True
        ):
            pixels = image.read_grey(path)
            size = (pixels.shape[0], pixels.shape[1])
            opened.add(path.name, stem, size, guess)
            if isinstance(guess, Masks):
                masks(out / "masks", stem, guess, classes, bool(view.get("exclusive")))
            annotated(pixels, guess, classes).save(out / "overlays" / f"{stem}.jpg", quality=92)


def masks(folder: Path, stem: str, guess: Masks, classes: Sequence[str], exclusive: bool) -> None:
    """One index PNG, or a PNG per class."""
    if exclusive:
        folder.mkdir(exist_ok=True)
        label_png.write_label_png(folder / f"{stem}.png", label_png.planes_to_index(guess.planes))
        return
    for label, plane in zip(classes, guess.planes, strict=True):
        own = folder / label.replace("/", "-")
        own.mkdir(parents=True, exist_ok=True)
        image.write_grey(own / f"{stem}.png", plane.astype(np.uint8) * 255)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for images or a run that aren't there, 2 for words that don't fit."""
    options = arguments(argv)
    return exit_code(lambda: predict(options))


if __name__ == "__main__":
    sys.exit(main())
