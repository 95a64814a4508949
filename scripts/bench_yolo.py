"""Seconds of YOLOv8's training by usbench and by ultralytics alone, on the same files.

Both train the net of the `quick` recipe on phantoms of `spinal` with the same epochs, batch, size,
optimiser and augmentation, validate after each epoch, and write checkpoints; ultralytics draws no
plots. It runs with 0 and with 2 worker processes. Each training has a process of its own with the
same threads and allocator's settings. They take turns, `--repeats` times; medians. The seconds are
those from the files, PNGs of 275×690 px, to the last epoch's end, without imports.

    python scripts/bench_yolo.py [--epochs 6] [--repeats 3] [--record] [--json FILE]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

from scripts.record import Ratio, make_bench_parser, make_record, parse_options, save_record
from usbench.cli.options import Options, add_numbers, time_call
from usbench.datasets.phantoms import phantom
from usbench.io.config import conf_dir
from usbench.io.console import say, table, track
from usbench.io.cores import count_cores
from usbench.models import Recipe
from usbench.models.yolo import package
from usbench.models.yolo.boxes import box_lines
from usbench.models.yolo.model import Yolo
from usbench.models.yolo.recipe import training_arguments
from usbench.results.scoring import SELECTION
from usbench.runner.launch import PARENT, child_environment
from usbench.types import Run, Sample

SIZE = (275, 690)  # px of an image, height and width
COUNTS = {"train": 64, "val": 16}  # images, as the main job's
TRAININGS = {"usbench": None, "ultralytics, 0 workers": 0, "ultralytics, 2 workers": 2}


def quick_recipe(epochs: int) -> Recipe:
    """YOLOv8's `quick`, with other epochs."""
    path = conf_dir() / "model" / "yolov8.yaml"
    recipe: Recipe = yaml.safe_load(path.read_text("utf-8"))["recipes"]["quick"]
    return {**recipe, "epochs": epochs}


def write_images(folder: Path) -> dict[str, list[Sample]]:
    """Write the phantoms of each split as PNGs and YOLO labels; the samples by split."""
    samples = list(phantom.draw_samples(phantom.PhantomSpec("spinal", SIZE, COUNTS, 0), "detect"))
    by_split = {split: [s for s in samples if s.split == split] for split in COUNTS}
    for split, chosen in by_split.items():
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for n, sample in enumerate(chosen):
            Image.fromarray(sample.image).save(folder / "images" / split / f"{n:03d}.png")
            lines = "".join(box_lines(sample.target, *SIZE))
            (folder / "labels" / split / f"{n:03d}.txt").write_text(lines, "utf-8")
    return by_split


def read_image(folder: Path, split: str, number: int, sample: Sample) -> Sample:
    """A sample with the image of its file."""
    path = folder / "images" / split / f"{number:03d}.png"
    return replace(sample, image=np.array(Image.open(path)))


def train_ours(folder: Path, epochs: int) -> float:
    """Seconds of our training."""
    samples, recipe = write_images(folder), quick_recipe(epochs)
    model = Yolo(classes=1, recipe=recipe, size=str(recipe["size"]))
    run = Run(folder / "run", "cpu", 0, "fp32", count_cores(), SELECTION["detect"])
    with package.sealed_ultralytics(run):  # imported before the clock starts
        pass

    def fit() -> None:
        train, val = (
            [read_image(folder, split, *item) for item in enumerate(samples[split])]
            for split in COUNTS
        )
        model.fit(train, val, run)

    seconds, _ = time_call(fit)
    return seconds


def train_theirs(folder: Path, epochs: int, workers: int) -> float:
    """Seconds of ultralytics' training."""
    recipe = quick_recipe(epochs)
    write_images(folder)
    data = folder / "data.yaml"
    paths = {split: f"images/{split}" for split in COUNTS}
    data.write_text(yaml.safe_dump({"path": str(folder), **paths, "names": {0: "hematoma"}}))
    run = Run(folder / "run", "cpu", 0, "fp32", count_cores(), SELECTION["detect"])
    with package.sealed_ultralytics(run):  # without its integrations, such as MLflow's
        from ultralytics import YOLO

        model = YOLO("yolov8n.yaml", verbose=False)
    # Its trainer takes all cores but one.
    model.add_callback("on_train_start", lambda _: torch.set_num_threads(count_cores()))
    # What its trainer doesn't know, and what the run decides, isn't given.
    skipped = {"data", "model", "task", "mode", "augmentations"}
    stated = {k: v for k, v in training_arguments(recipe).items() if k not in skipped}
    stated |= {"data": str(data), "workers": workers, "device": "cpu", "amp": False}
    train = partial(model.train, **stated, project=str(folder), name="run")
    seconds, _ = time_call(train)
    return seconds


def time_training(name: str, epochs: int) -> float:
    """Seconds of one training in a process of its own."""
    environment = {**child_environment(count_cores()), "YOLO_OFFLINE": "1"}
    environment.pop(PARENT)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--epochs", str(epochs), "--child", name, folder]
        settings = {"YOLO_CONFIG_DIR": folder, "MPLCONFIGDIR": folder}
        done = subprocess.run(
            command,
            env={**environment, **settings},
            cwd=folder,
            capture_output=True,
            text=True,
        )
    if done.returncode:
        raise SystemExit(f"{name}: the training failed:\n{done.stderr[-2000:]}")
    return float(json.loads(done.stdout.splitlines()[-1]))


def run_child(name: str, folder: Path, epochs: int) -> None:
    """Train once and print the seconds."""
    workers = TRAININGS[name]
    if workers is None:
        seconds = train_ours(folder, epochs)
    else:
        seconds = train_theirs(folder, epochs, workers)
    say(json.dumps(seconds))


def measure(options: Options) -> Mapping[str, list[float]]:
    """Seconds of each training, in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in TRAININGS}
    for _ in track(range(options.repeats), "repeats"):
        for name in TRAININGS:
            seconds[name].append(time_training(name, options.epochs))
    return seconds


def main() -> None:
    """Measure, show, write."""
    parser = make_bench_parser(__doc__)
    add_numbers(parser, epochs=6, repeats=3)
    parser.add_argument("--child", nargs=2, metavar=("NAME", "DIR"), help="one training")
    options = parse_options(parser)
    if options.child:
        name, folder = options.child
        return run_child(name, Path(folder), options.epochs)
    seconds = measure(options)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    rows = [
        [name, f"{medians[name]:.1f}", f"{min(values):.1f}", f"{max(values):.1f}"]
        for name, values in seconds.items()
    ]
    table(f"YOLOv8n, {options.epochs} epochs, seconds", ["", "median", "least", "most"], rows)
    theirs = [name for name in TRAININGS if name != "usbench"]
    best = min(theirs, key=lambda name: medians[name])
    measured = (
        f"time to train YOLOv8n, {options.epochs} epochs of {COUNTS['train']} images at 256 px, "
        f"validation included, cpu, {count_cores()} threads"
    )
    ratios = [Ratio(measured, f"{best} (the faster)", medians[best] / medians["usbench"])]
    save_record(
        options, make_record("bench_yolo", options, ratios, {"seconds": seconds}, ["ultralytics"])
    )
    return None


if __name__ == "__main__":
    main()
