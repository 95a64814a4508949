"""Images per second of usbench's loop, a bare training step and a plain PyTorch loop, in one run.

The same net (a U-Net, ResNet-18), the same phantoms of `usgra`, the same allocator's settings. The
set has `--images` images, of which a sixth is for validation.

- usbench: an epoch of our loop with everything that it costs: augmentation, validation, checkpoint.
- bare step: forward, loss, backward, clipping and optimiser on one batch, in our precision and
  memory format.
- plain loop: what one writes first: a DataLoader that opens and resizes each PNG, torchvision's
  augmentation image by image, AdamW, cross entropy; in fp32 and in bf16. It neither validates nor
  writes anything.

They take turns, `--repeats` times, each after a warm-up of its own; medians.

    python scripts/bench_train.py [--images 200] [--repeats 5] [--size 256] [--workers 0]
                                  [--device cpu] [--record] [--json FILE]
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from scripts.record import (
    Ratio,
    make_bench_parser,
    make_record,
    parse_options,
    restart_as_child,
    save_record,
)
from usbench.cli.options import Options, add_numbers
from usbench.datasets.layouts.index_masks import IndexMasks
from usbench.datasets.phantoms import phantom
from usbench.io.console import Bar, table, track
from usbench.io.cores import count_cores
from usbench.models import loop
from usbench.models.arrays import INDEX, Arrays, decode
from usbench.models.loop_keys import LOOP
from usbench.models.optimise import build_optimiser
from usbench.models.recipe_keys import fill_defaults
from usbench.models.segmenter import Segmenter, exclusive_loss
from usbench.results.scoring import SELECTION
from usbench.runner import machine
from usbench.runner.machine import Precision
from usbench.types import Run

PEERS = ("torchvision", "segmentation-models-pytorch")
BATCH, RATE, CLASSES = 8, 1e-3, ("nerve", "vessel")
AUGMENT = {
    "hflip": 0.5,
    "rotate": 15,
    "scale": 0.25,
    "shift": 0.08,
    "gamma": 0.3,
    "brightness": 0.1,
    "contrast": 0.2,
}


LOOPS = ("usbench", "bare step", "plain, fp32", "plain, bf16")
METHOD = loop.Method(exclusive_loss, channels_last=True)
RECIPE = fill_defaults(
    {
        "epochs": 2,
        "batch": BATCH,
        "lr": RATE,
        "weight_decay": 1e-4,
        "schedule": "onecycle",
        "augment": AUGMENT,
    },
    LOOP,
)


@dataclass(frozen=True)
class Bench:
    """What all loops have in common."""

    size: int  # px of an image's sides
    workers: int  # of the plain loop's DataLoader
    steps: int  # that are timed of the bare step and the plain loops
    device: str
    precision: Precision  # of ours and of the bare step

    @property
    def kind(self) -> str:
        """cpu or cuda."""
        return self.device.split(":")[0]

    def make_run(self, folder: Path, log: Callable[..., None] = lambda *_: None) -> Run:
        """What our loop may know of its run."""
        threads = torch.get_num_threads()
        return Run(folder, self.device, 0, self.precision, threads, SELECTION["segment"], log)

    def synchronise(self) -> None:
        """Wait until a GPU has done what it was told."""
        if self.kind == "cuda":
            torch.cuda.synchronize(self.device)


def make_net() -> torch.nn.Module:
    """The same U-Net for both."""
    torch.manual_seed(0)
    net: torch.nn.Module = smp.Unet(
        "resnet18", encoder_weights=None, in_channels=1, classes=len(CLASSES) + 1
    )
    return net


class Pictures(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """PNG pairs, opened, resized and augmented one by one."""

    def __init__(self, root: Path, size: int) -> None:
        self.paths = sorted((root / "images").glob("*.png"))
        self.transform = v2.Compose(
            [
                v2.Resize((size, size), antialias=True),
                v2.RandomHorizontalFlip(0.5),
                v2.RandomAffine(15, translate=(0.08, 0.08), scale=(0.8, 1.25)),
                v2.ColorJitter(brightness=0.1, contrast=0.2),
                v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
                v2.Normalize([loop.MEAN], [loop.SD]),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        path = self.paths[n]
        mask_path = path.parent.parent / "masks" / path.name
        image = tv_tensors.Image(np.array(Image.open(path).convert("L"))[None])
        x, y = self.transform(image, tv_tensors.Mask(np.array(Image.open(mask_path))[None]))
        return x, y[0].long()


def make_optimiser(net: torch.nn.Module) -> torch.optim.Optimizer:
    """AdamW as people write it."""
    return torch.optim.AdamW(net.parameters(), lr=RATE)


def time_plain(root: Path, bench: Bench, precision: Precision) -> float:
    """Images per second of the plain loop over `bench.steps` batches."""
    net = make_net().to(bench.device).train()
    optimiser = make_optimiser(net)
    loader = DataLoader(
        Pictures(root, bench.size), BATCH, shuffle=True, drop_last=True, num_workers=bench.workers
    )
    batches = chain.from_iterable(repeat(loader))

    def step() -> None:
        x, y = (tensor.to(bench.device) for tensor in next(batches))
        optimiser.zero_grad()
        with torch.autocast(bench.kind, torch.bfloat16, enabled=precision == "bf16"):
            loss = torch.nn.functional.cross_entropy(net(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return time_steps(step, bench)


def time_bare(data: Arrays, bench: Bench) -> float:
    """Images per second of the bare step."""
    run = bench.make_run(Path())
    net = loop.place(make_net(), run, METHOD.channels_last).train()
    optimiser = build_optimiser(net, RECIPE)
    images = torch.from_numpy(data.images[:BATCH])[:, None].float().to(bench.device) / 255
    x, y = loop.feed(images, METHOD), torch.from_numpy(data.targets[:BATCH]).to(bench.device)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        loop.backward(net, METHOD.loss, x, y, 1, run)
        torch.nn.utils.clip_grad_norm_(net.parameters(), loop.GRADIENT_NORM)
        optimiser.step()

    return time_steps(step, bench)


def time_steps(step: Callable[[], None], bench: Bench) -> float:
    """Images per second of a step, after two that aren't counted."""
    for n in range(bench.steps + 2):
        if n == 2:
            bench.synchronise()
            start = time.perf_counter()
        step()
    bench.synchronise()
    return bench.steps * BATCH / (time.perf_counter() - start)


def time_ours(sets: Sequence[Arrays], bench: Bench) -> float:
    """Training images per second of the second epoch of our loop, all its costs included.

    Args:
        sets: for training and for validation.
    """
    train, val = sets
    marks: list[float] = []
    segmenter = Segmenter(len(CLASSES), True, {**RECIPE, "size": [bench.size] * 2}, smp.Unet)
    with tempfile.TemporaryDirectory() as folder:
        run = bench.make_run(Path(folder), lambda *_: marks.append(time.perf_counter()))
        segmenter.net, segmenter.run, segmenter.method = make_net(), run, METHOD

        def validate(_: torch.nn.Module, progress: Bar) -> float:
            pairs = segmenter.pairs(val)
            return float(run.score(progress.watch(pairs, len(val.images), "validating")))

        loop.fit(segmenter.net, train, METHOD, validate, RECIPE, run)
    # Three figures are logged after an epoch's validation, before its checkpoint; the last
    # checkpoint, which each epoch here has, is that of the first epoch.
    return len(train.images) // BATCH * BATCH / (marks[3] - marks[0])


def measure(options: Options, bench: Bench) -> Mapping[str, list[float]]:
    """Images per second of each loop, `options.repeats` times, in turns."""
    rates: dict[str, list[float]] = {name: [] for name in LOOPS}
    val_images = options.images // 6
    counts = {"train": options.images - val_images, "val": val_images}
    with tempfile.TemporaryDirectory() as folder:
        spec = phantom.PhantomSpec("nerves", (534, 512), counts, 0)
        samples = list(phantom.draw_samples(spec, "segment"))
        train, val = ([s for s in samples if s.split == split] for split in counts)
        IndexMasks(CLASSES, {"train": ("images", "masks")}).write(Path(folder), train)
        sets = [decode(INDEX, part, (bench.size, bench.size), None) for part in (train, val)]
        for _ in track(range(options.repeats), "repeats"):
            rates["usbench"].append(time_ours(sets, bench))
            rates["bare step"].append(time_bare(sets[0], bench))
            rates["plain, fp32"].append(time_plain(Path(folder), bench, "fp32"))
            rates["plain, bf16"].append(time_plain(Path(folder), bench, "bf16"))
    return rates


def main() -> None:
    """Measure, show, write."""
    parser = make_bench_parser(__doc__)
    add_numbers(parser, images=200, repeats=5, size=256, workers=0, steps=6)
    parser.add_argument("--device", default="auto")
    restart_as_child()
    options = parse_options(parser)
    device = machine.resolve_device(options.device)
    precision = machine.resolve_precision("auto", device)
    bench = Bench(options.size, options.workers, options.steps, device, precision)
    torch.set_num_threads(count_cores())
    rates = measure(options, bench)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    rows = [
        [name, f"{medians[name]:.1f}", f"{min(values):.1f}", f"{max(values):.1f}"]
        for name, values in rates.items()
    ]
    table("training, images per second", ["loop", "median", "slowest", "fastest"], rows)
    best = max(("plain, fp32", "plain, bf16"), key=lambda name: medians[name])
    measured = (
        f"images per second of an epoch, U-Net (ResNet-18) at {options.size} px, "
        f"{options.images} images, {precision}, {device}, {count_cores()} threads"
    )
    ours = medians["usbench"]
    ratios = [
        Ratio(
            measured, "the bare step, same precision and memory format", ours / medians["bare step"]
        ),
        Ratio(
            measured, f"the faster plain PyTorch loop ({best.split()[-1]})", ours / medians[best]
        ),
    ]
    figures = {"images_per_second": rates, "device": device}
    record = make_record("bench_train", options, ratios, figures, PEERS, device)
    save_record(options, record)


if __name__ == "__main__":
    main()
