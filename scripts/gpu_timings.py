"""The trainings that bench_gpu.py times: usbench's, a plain PyTorch loop's and ultralytics' own."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from scripts.bench_train import AUGMENT, CLASSES, RATE, Pictures, make_net
from scripts.gpu_checks import MIB, SMALL, WHOLE, Extent
from scripts.measure_learning import Setting
from usbench.io.config import build
from usbench.models.loop import GRADIENT_NORM
from usbench.models.segmenter import exclusive_loss
from usbench.models.smp import SmpSegmenter
from usbench.models.yolo import package
from usbench.models.yolo.boxes import Fit, box_lines, write_split
from usbench.models.yolo.recipe import FIXED, choose_net, training_arguments
from usbench.models.yolo.trainer import choose_precision, count_workers
from usbench.results.scoring import SELECTION
from usbench.runner.machine import Precision
from usbench.types import Run, Sample, Score

ROUNDS, WARM_UP = 3, 5  # of the bare step: rounds, whose median counts, after so many steps
PLAIN_EPOCHS = 3  # the first starts the workers
END = "lr"  # the last figure that usbench logs of an epoch
Log = Callable[[str, float, int], None]
Splits = Mapping[str, Sequence[Sample]]  # train and val


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    side: int  # px of the U-Net's input
    drawn: int  # different phantoms of an epoch
    repeats: int  # how often each of them comes in an epoch
    val: int  # images of validation
    batches: Sequence[int]
    steps: int  # of a round of the bare step
    epochs: int  # of our loop
    recipes: Sequence[str]  # of yolov8
    native: tuple[int, int]  # height and width of the phantoms that yolov8 trains on
    yolo_drawn: tuple[int, int]  # different phantoms, for training and for validation
    yolo_epochs: int
    extent: Extent


FULL_SIZES = Sizes(
    side=256,
    drawn=128,
    repeats=16,
    val=64,
    batches=(8, 32, 64),
    steps=30,
    epochs=12,
    recipes=("quick", "standard", "kumar2025"),
    native=(256, 320),
    yolo_drawn=(24, 24),
    yolo_epochs=6,
    extent=WHOLE,
)
TINY_SIZES = Sizes(
    side=64,
    drawn=8,
    repeats=1,
    val=4,
    batches=(4,),
    steps=1,
    epochs=4,
    recipes=("tiny",),
    native=(72, 96),
    yolo_drawn=(4, 4),
    yolo_epochs=3,
    extent=SMALL,
)


@dataclass(frozen=True)
class Bench:
    """On what is measured, and how much."""

    device: str
    precision: Precision
    threads: int
    workers: int  # processes of the plain loop
    folder: Path  # for whatever is written
    data: Path | None  # which holds usgra
    sizes: Sizes

    @property
    def on_gpu(self) -> bool:
        """Whether this isn't a dry run."""
        return self.device != "cpu"

    def make_run(self, name: str, score: Score, log: Log) -> Run:
        """A run in a folder of its own; decoded images are shared by all runs."""
        folder, cache = self.folder / name, self.folder / "cache"
        folder.mkdir(parents=True)
        return Run(folder, self.device, 0, self.precision, self.threads, score, log, cache)

    def autocast(self) -> torch.autocast:
        """The precision around a forward pass."""
        kind = self.device.split(":")[0]
        return torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bf16")

    def synchronize(self) -> None:
        """Wait for the GPU."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)


class EpochClock:
    """Notes when epochs end, as a run's log."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def log(self, name: str, value: float, step: int) -> None:
        """Take one figure."""
        if name == END:
            self.ends.append(time.perf_counter())

    def seconds(self) -> list[float]:
        """From the end of each epoch to that of the next."""
        return [after - before for before, after in pairwise(self.ends)]


# ---- a U-Net


def time_bare_step(bench: Bench, batch: int) -> float:
    """Images per second of one batch, trained on again and again."""
    net = make_net().to(bench.device).to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, fused=True)
    shape = (batch, 1, bench.sizes.side, bench.sizes.side)
    images = torch.randn(shape).to(bench.device).contiguous(memory_format=torch.channels_last)
    targets = torch.randint(0, len(CLASSES) + 1, shape, dtype=torch.uint8).to(bench.device)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with bench.autocast():
            loss = exclusive_loss(net(images), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), GRADIENT_NORM)
        optimiser.step()

    def time_round(steps: int) -> float:
        bench.synchronize()
        start = time.perf_counter()
        for _ in range(steps):
            step()
        bench.synchronize()
        return time.perf_counter() - start

    time_round(WARM_UP)
    steps = bench.sizes.steps
    return batch * steps / statistics.median(time_round(steps) for _ in range(ROUNDS))


def time_ours(bench: Bench, batch: int, splits: Splits) -> tuple[float, float, float]:
    """Time usbench's loop.

    Returns:
        Images per second by the steps alone; by everything after the first epoch; the peak of the
        GPU's memory in MiB, 0 on a CPU.
    """
    images = len(splits["train"]) * bench.sizes.repeats // batch * batch
    if bench.on_gpu:
        torch.cuda.reset_peak_memory_stats(bench.device)
    # A score that never rises means no validation and one copy of the best weights. The first
    # interval has a checkpoint; the few later ones don't reach the median.
    clock, _ = time_training(bench, batch, splits, f"steps-{batch}", lambda pairs: 0.0)
    steps = statistics.median(clock.seconds()[1:])
    clock, end = time_training(bench, batch, splits, f"whole-{batch}", SELECTION["segment"])
    whole = (end - clock.ends[0]) / (bench.sizes.epochs - 1)
    peak = torch.cuda.max_memory_allocated(bench.device) / MIB if bench.on_gpu else 0.0
    return images / steps, images / whole, peak


def time_training(
    bench: Bench, batch: int, splits: Splits, name: str, score: Score
) -> tuple[EpochClock, float]:
    """Train a U-Net with usbench's loop: when its epochs ended, and when all was done."""
    recipe = {
        "size": [bench.sizes.side, bench.sizes.side],
        "epochs": bench.sizes.epochs,
        "batch": batch,
        "lr": RATE,
        "weight_decay": 1e-4,
        "schedule": "onecycle",
        "augment": AUGMENT,
    }
    clock = EpochClock()
    model = SmpSegmenter("unet", "resnet18", None, len(CLASSES), True, recipe)
    run = bench.make_run(name, score, clock.log)
    model.fit([*splits["train"]] * bench.sizes.repeats, splits["val"], run)
    bench.synchronize()
    return clock, time.perf_counter()


def time_plain(bench: Bench, batch: int, root: Path) -> float:
    """Images per second of the plain loop; root: of images and masks as PNG."""
    net = make_net().to(bench.device).to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, fused=True)
    pictures: Dataset[Any] = ConcatDataset([Pictures(root, bench.sizes.side)] * bench.sizes.repeats)
    loader = DataLoader(
        pictures,
        batch,
        shuffle=True,
        drop_last=True,
        num_workers=bench.workers,
        pin_memory=bench.on_gpu,
        persistent_workers=True,
    )
    seconds = []
    for _ in range(PLAIN_EPOCHS):
        start = time.perf_counter()
        for x, y in loader:
            images = x.to(bench.device, non_blocking=True, memory_format=torch.channels_last)
            targets = y.to(bench.device, non_blocking=True)
            optimiser.zero_grad(set_to_none=True)
            with bench.autocast():
                loss = exclusive_loss(net(images), targets[:, None])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        bench.synchronize()
        seconds.append(time.perf_counter() - start)
    return len(loader) * batch / statistics.median(seconds[1:])


# ---- YOLOv8


def time_our_yolo(bench: Bench, setting: Setting, recipe: str, splits: Splits) -> float:
    """Seconds of an epoch, the median."""
    clock = EpochClock()
    changed = {**setting.recipe, "epochs": bench.sizes.yolo_epochs}
    model = build(setting.node, classes=setting.classes, exclusive=True, recipe=changed)
    run = bench.make_run(f"yolo-{recipe}", SELECTION["detect"], clock.log)
    model.fit(splits["train"], splits["val"], run)
    return statistics.median(clock.seconds())


def time_ultralytics(bench: Bench, setting: Setting, recipe: str, splits: Splits) -> float:
    """Seconds of an epoch of the package's own training, the median."""
    changed = {**setting.recipe, "epochs": bench.sizes.yolo_epochs}
    arguments = training_arguments(changed)
    stated = {name: value for name, value in arguments.items() if name not in FIXED}
    clock = EpochClock()
    run = bench.make_run(f"ultralytics-{recipe}", SELECTION["detect"], clock.log)
    fit = Fit(arguments["imgsz"], arguments["rect"], bench.device)
    for split, samples in splits.items():
        write_split(run.dir, split, samples, box_lines, fit)
    names = "".join(f"  {n}: class {n}\n" for n in range(setting.classes))
    data = run.dir / "data.yaml"
    data.write_text(f"path: {run.dir}\ntrain: images/train\nval: images/val\nnames:\n{names}")
    with package.sealed_ultralytics(run):
        from ultralytics import YOLO

        label = choose_net("yolov8", str(setting.node["size"]), setting.classes, None).label
        model = YOLO(f"{label}.yaml")
        model.add_callback("on_fit_epoch_end", lambda trainer: clock.log(END, 0, trainer.epoch))
        model.train(
            **stated,
            data=str(data),
            device=bench.device,
            workers=count_workers(run),
            amp="bf16" if choose_precision(run) == "bf16" else False,
            augmentations=[],  # None would let an installed albumentations add blur and CLAHE
            pretrained=False,
            plots=False,
            verbose=False,
            project=str(run.dir),
            name="training",
        )
    # The last end is that of the evaluation after the training.
    return statistics.median(clock.seconds()[: bench.sizes.yolo_epochs - 1])
